"""What a search finds, without what is left out for each query."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

from components.recommender_builder.tensors import distinct, is_in

# [b] numbers of queries, and k, to [b, k] rows of a catalogue of n items, the best first; n fills up.
Search = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

# In a catalogue of at most so many items a query has a mark for each; in a larger one what it leaves out is sorted.
_MARKED = 2**15
_WORD = 8  # Bytes that are counted at once.
_SPARE = 300  # Candidates that are looked for beside those wanted, before it is known how many have to be left out.


class LeftOut:
    """Pairs of a query and a row of the catalogue.

    Args:
      queries: how many there are, B.
      size: of the catalogue, n.
      pairs: as [R] numbers of queries and [R] rows.

    Attributes:
      most: how many different ones a query has, at most.
    """

    def __init__(self, queries: tf.Tensor, size: int, *pairs: tuple[tf.Tensor, tf.Tensor]):
        self.size = size
        self._width = -(-(size + 1) // _WORD) * _WORD
        keys = tf.concat([self._key(*some) for some in pairs], axis=0)
        if size <= _MARKED:
            marks = tf.zeros([queries * self._width], tf.uint8)
            marks = tf.tensor_scatter_nd_update(marks, keys[:, tf.newaxis], tf.ones_like(keys, tf.uint8))
            each = _marked(tf.reshape(marks, [queries, self._width]))
            self._has = lambda keys: tf.gather(marks, keys) > 0
        else:
            keys = distinct(keys)
            of_query = keys // self._width
            each = tf.math.unsorted_segment_sum(tf.ones_like(of_query, tf.int32), of_query, queries)
            self._has = functools.partial(is_in, keys=keys)
        self.most = tf.reduce_max(each)

    def has(self, queries: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Whether the pairs of [b] numbers of queries and their [b, M] rows are among these."""
        return self._has(self._key(queries[:, tf.newaxis], items))

    def _key(self, queries: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        return tf.cast(queries, tf.int64) * self._width + tf.cast(items, tf.int64)


def _marked(marks: tf.Tensor) -> tf.Tensor:
    """[B] how many of [B, W] bytes are 1: their bits, by whole words."""
    words = tf.bitcast(tf.reshape(marks, [tf.shape(marks)[0], -1, _WORD]), tf.int64)
    return tf.reduce_sum(tf.cast(tf.raw_ops.PopulationCount(x=words), tf.int32), axis=1)


def of_lists(items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """[B, M] rows as pairs for `LeftOut`."""
    queries = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, tf.newaxis], tf.shape(items))
    return tf.reshape(queries, [-1]), tf.reshape(items, [-1])


def best(search: Search, queries: tf.Tensor, left_out: LeftOut | None, wanted: int, available: int) -> tf.Tensor:
    """[B, wanted] rows of the catalogue that a search finds, the best first, but for those that are left out.

    Args:
      search: of `available` items.
      queries: [B] numbers from 0 to B - 1.
      left_out: for these queries; None: nothing.
      wanted: how many.
      available: how many there are.
    """
    if left_out is None:
        return search(queries, tf.constant(wanted))
    size, most = left_out.size, left_out.most

    @functools.partial(tf.function, autograph=False)  # Called twice, in the graph once.
    def among(queries: tf.Tensor, spare: tf.Tensor) -> tf.Tensor:
        found = search(queries, tf.minimum(wanted + spare, available))
        return kept(found, ~left_out.has(queries, found), wanted, size)

    def again() -> tf.Tensor:
        return tf.tensor_scatter_nd_update(found, short[:, tf.newaxis], among(short, most))

    # What few have had much of does not make the search of all a long one.
    found = among(queries, tf.minimum(most, _SPARE))
    short = tf.boolean_mask(queries, found[:, -1] == size)
    return tf.cond((most > _SPARE) & (tf.size(short) > 0), again, lambda: found)


def kept(items: tf.Tensor, keep: tf.Tensor, length: int, size: int) -> tf.Tensor:
    """The first `length` of each row's items that are to be kept, in order, filled up with row n of the catalogue."""
    first = tf.math.top_k(tf.where(keep, tf.range(tf.shape(items)[1], 0, -1), 0), length)
    return tf.where(first.values > 0, tf.gather(items, first.indices, batch_dims=1), size)


def each_once(items: tf.Tensor, size: int) -> tf.Tensor:
    """[B, M] items of each row, each once, filled up with row n of the catalogue."""
    items = tf.sort(items, axis=1)
    repeated = tf.concat([tf.zeros_like(items[:, :1], tf.bool), items[:, 1:] == items[:, :-1]], axis=1)
    return tf.where(repeated, size, items)
