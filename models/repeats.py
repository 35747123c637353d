"""Buying again: what a user's own history says of the next item, mixed with what the towers say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf

from models.layers import NEVER


class Repeats(tf.keras.layers.Layer):
    """P(item | query) = again R(item) + (1 - again) S(item), all three probabilities.

    R is the item's part of the history's weight, where an entry t seconds from the query weighs a learnt mix of
    exp(-t / tau) and of 1. S is the towers' softmax. `again` is a sigmoid of the query's vector and the history's
    length, and 0 without a history (repeat and explore modes, as in RepeatNet; Ren et al., AAAI 2019).

    S needs the sum over the catalogue that normalises it. Training has an estimate from its samples; for serving, a
    linear function of the query's vector learns it, beginning with the catalogue's size.

    Args:
      dim: of the queries' vectors.
      decay_seconds: the taus.
      items: size of the catalogue.
    """

    def __init__(self, dim: int, decay_seconds: Sequence[float], items: int):
        super().__init__(name="repeats")
        self._decay_seconds = tuple(decay_seconds)
        zeros = tf.keras.initializers.Zeros()
        self._mix = self.add_weight("repeat_mix", [len(self._decay_seconds) + 1], initializer=zeros)
        self._again = self.add_weight("again", [dim], initializer=zeros)
        self._again_by_length = self.add_weight("again_by_length", [2], initializer=zeros)
        self._normaliser = self.add_weight("normaliser", [dim], initializer=zeros)
        size = tf.keras.initializers.Constant(math.log(max(items, 1)))
        self._normaliser_bias = self.add_weight("normaliser_bias", [], initializer=size)

    def own(self, history: tf.Tensor, gaps: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """[B, M] log R of items, from [B, H] items and distances in time of a history, padded with -1."""
        seconds = tf.math.expm1(tf.maximum(gaps, 0.0))
        timed = [tf.where(gaps >= 0, tf.exp(-seconds / tau), 0.0) for tau in self._decay_seconds]
        kernels = tf.stack([*timed, tf.ones_like(gaps)], axis=2)
        weights = tf.tensordot(kernels, tf.nn.softplus(self._mix), 1) * tf.cast(history >= 0, tf.float32)
        same = tf.cast(history[:, tf.newaxis, :] == items[:, :, tf.newaxis], tf.float32)
        found = tf.einsum("bmh,bh->bm", same, weights)
        share = tf.math.divide_no_nan(found, tf.reduce_sum(weights, axis=1, keepdims=True))
        return tf.where(share > 0, tf.math.log(tf.maximum(share, 1e-30)), NEVER)

    def normaliser(self, vectors: tf.Tensor) -> tf.Tensor:
        """[B, 1] log of the sum over the catalogue, from the queries' vectors [B, D]."""
        return tf.linalg.matvec(vectors, self._normaliser)[:, tf.newaxis] + self._normaliser_bias

    def mixed(self, vectors: tf.Tensor, history: tf.Tensor, own: tf.Tensor, towers: tf.Tensor) -> tf.Tensor:
        """[B, M] log P of items whose log R and log S are given."""
        length = tf.math.count_nonzero(history >= 0, axis=1, dtype=tf.float32)
        by_length = self._again_by_length[0] + self._again_by_length[1] * tf.math.log1p(length)
        logit = (tf.linalg.matvec(vectors, self._again) + by_length)[:, tf.newaxis]
        logit = tf.where(length[:, tf.newaxis] > 0, logit, NEVER)
        again, new = tf.math.log_sigmoid(logit) + own, tf.math.log_sigmoid(-logit) + towers
        higher = tf.maximum(again, new)
        return higher + tf.math.log(tf.exp(again - higher) + tf.exp(new - higher))
