"""Buying again: what a user's own history says of the next item, mixed with what the towers say."""

from __future__ import annotations

import math

import tensorflow as tf

from models.features import names as f
from models.layers import NEVER, Table, seconds

_DAY = 86_400.0
_DECAYS = (_DAY / 24, _DAY, 7 * _DAY, 30 * _DAY, 90 * _DAY, 365 * _DAY)  # The taus.
_RATES = [*(1 / tau for tau in _DECAYS), 0.0]  # The last is that of the 1.


class Repeats(tf.keras.layers.Layer):
    """P(item | query) = again R(item) + (1 - again) S(item), all three probabilities.

    R is the item's part of the history's weight. An entry t seconds from the query weighs the softplus of a sum of
    exp(-t / tau) and 1, whose factors are learnt, with a part of the item's own: some things are bought again soon,
    some late, and others hardly. S is the towers' softmax. `again` is a sigmoid of the query's vector and the history's
    length, and 0 without a history (repeat and explore modes, as in RepeatNet; Ren et al., AAAI 2019).

    S needs the sum over the catalogue that normalises it. Training has an estimate from its samples; for serving, a
    linear function of the query's vector learns it, beginning with the catalogue's size.

    Args:
      dim: of the queries' vectors.
      items: size of the catalogue.
    """

    def __init__(self, dim: int, items: int):
        super().__init__(name="repeats")
        self.dim = dim
        zeros = tf.keras.initializers.Zeros()
        self._mix = self.add_weight("repeat_mix", [len(_RATES)], initializer=zeros)
        self._of_item = Table(items + 1, len(_RATES), "repeated_item", f.ITEM_ID, initial_stddev=0.0)
        self._again = self.add_weight("again", [dim], initializer=zeros)
        self._again_by_length = self.add_weight("again_by_length", [2], initializer=zeros)
        self._normaliser = self.add_weight("normaliser", [dim], initializer=zeros)
        size = tf.keras.initializers.Constant(math.log(max(items, 1)))
        self._normaliser_bias = self.add_weight("normaliser_bias", [], initializer=size)

    def own(self, history: tf.Tensor, gaps: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """[B, M] log R of items, from [B, H] items and distances in time of a history, padded with -1."""
        there = tf.where(history >= 0)
        entries, gaps = tf.gather_nd(history, there), tf.gather_nd(gaps, there)
        kernels = tf.exp(-seconds(gaps)[:, tf.newaxis] * _RATES)
        logits = tf.linalg.matvec(kernels, self._mix) + tf.reduce_sum(kernels * self._of_item(entries), axis=1)
        weights = tf.scatter_nd(there, tf.nn.softplus(logits), tf.shape(history, tf.int64))
        share = _sums_of_same(history, weights, items)
        share = tf.math.divide_no_nan(share, tf.reduce_sum(weights, axis=1, keepdims=True))
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


def _sums_of_same(history: tf.Tensor, weights: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """[B, M] sums of the weights of those of [B, H] entries that are the given items, without a tensor [B, M, H]."""
    if items.shape[1] == 1:  # As in training: no need to sort.
        return tf.reduce_sum(tf.where(history == items, weights, 0.0), axis=1, keepdims=True)
    order = tf.argsort(history)
    entries = tf.gather(history, order, batch_dims=1)
    sums = tf.cumsum(tf.gather(weights, order, batch_dims=1), axis=1)
    sums = tf.pad(sums, [[0, 0], [1, 0]])
    items = tf.broadcast_to(items, [tf.shape(history)[0], tf.shape(items)[1]])
    ends = [tf.searchsorted(entries, items, side) for side in ("left", "right")]
    before, after = (tf.gather(sums, place, batch_dims=1) for place in ends)
    return after - before
