"""Small pieces of the servable's graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf


class Lookup(tf.Module):
    """Strings to their positions in a list of n; n for those that are not in it."""

    def __init__(self, keys: Sequence[bytes]):
        super().__init__()
        initializer = tf.lookup.KeyValueTensorInitializer(
            tf.constant(keys, tf.string), tf.range(len(keys), dtype=tf.int32)
        )
        self._table = tf.lookup.StaticHashTable(initializer, default_value=len(keys))

    def __call__(self, strings: tf.Tensor) -> tf.Tensor:
        return self._table.lookup(strings)


def table(values: Any, *, of_any_length: bool = False) -> tf.Variable:
    """Values that are saved with the servable."""
    return tf.Variable(values, trainable=False, shape=[None] if of_any_length else None)


def distinct(keys: tf.Tensor) -> tf.Tensor:
    """The distinct values of [n] keys, sorted."""
    keys = tf.sort(keys)
    return tf.boolean_mask(keys, tf.concat([keys[1:] != keys[:-1], [True]], 0)[: tf.size(keys)])


def is_in(wanted: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Whether each of the wanted is among the rising keys, by binary search."""
    keys = tf.concat([keys, [keys.dtype.max]], 0)
    flat = tf.reshape(wanted, [-1])
    return tf.reshape(tf.gather(keys, tf.searchsorted(keys, flat)) == flat, tf.shape(wanted))


def ranges(starts: tf.Tensor, places: tf.Tensor) -> tf.RaggedTensor:
    """[m] places to the numbers from `starts[place]` to before `starts[place + 1]`, a row each."""
    return tf.ragged.range(tf.gather(starts, places), tf.gather(starts, places + 1))
