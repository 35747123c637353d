"""Search among the items that have wanted values of their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.recommender_builder.item_values import ItemValues
from components.recommender_builder.leaves import Leaves, by_expectation
from components.recommender_builder.tensors import Lookup, distinct, is_in, ranges, table

Search = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # [B, D] queries, k -> [B, k] rows, best first; n fills up.


class Wanted(NamedTuple):
    """What B requests want, of F features. Values are numbered over all features; T is one that no item has.

    Attributes:
      values: [B, W] numbers of values.
      given: [B, F] whether any value of a feature is wanted.
    """

    values: tf.Tensor
    given: tf.Tensor

    def of(self, requests: tf.Tensor) -> Wanted:
        """What some of the requests want."""
        return Wanted(*(tf.gather(values, requests) for values in self))


class Filters(tf.Module):
    """The items by the values of their features, and within a value by leaf.

    Of the feature whose wanted values the fewest items have, it scores those items that are in the leaves where most of
    the best are to be expected: all where they are few. So neither a narrow nor a wide filter scores many, and as the
    scores are exact, what is found is as sure as the leaves are well chosen.

    Args:
      values: [n, (number of values)] of each feature that filters.
      vectors: [n + 1, D] of the items.
      rows: [m] those that may be found.
      leaves: of these rows' vectors.
    """

    def __init__(self, values: ItemValues, vectors: tf.Variable, rows: np.ndarray, leaves: Leaves):
        super().__init__()
        self.features = list(values)
        self._vectors, self._unknown = vectors, vectors.shape[0] - 1
        self._size, self._share, self._most = len(rows), leaves.share, leaves.most
        items, numbers, lookups, starts = [], [], [], [0]
        for lists in values.values():
            known, number = np.unique(lists.flat_values.numpy(), return_inverse=True)
            items.append(lists.value_rowids().numpy())
            numbers.append(number + starts[-1])
            lookups.append(Lookup(known.tolist()))
            starts.append(starts[-1] + len(known))
        self._lookups, self._starts, total = lookups, starts, starts[-1]
        feature_of = np.repeat(np.arange(len(starts)), np.append(np.diff(starts), 1))
        self._feature_of = table(feature_of.astype(np.int32))
        width = total + 1
        item, value = np.divmod(
            np.unique(np.concatenate(items).astype(np.int64) * width + np.concatenate(numbers)), width
        )
        self._item_starts = table(_starts(item, self._unknown + 1))
        self._item_values = table(value.astype(np.int32))
        self._most_values = int(np.bincount(item * len(values) + feature_of[value], minlength=1).max())

        leaf_of = np.full(self._unknown + 1, -1, np.int32)
        leaf_of[rows] = leaves.of_row
        may_be_found = leaf_of[item] >= 0
        item, value = item[may_be_found], value[may_be_found]
        order = np.lexsort((item, leaf_of[item], value))
        item, value, leaf = item[order], value[order], leaf_of[item[order]]
        self._items = table(item.astype(np.int32))
        self._counts = table(np.bincount(value, minlength=total + 1).astype(np.int32))
        # The items of a value in a leaf are a block; blocks, too, are in the order of the values.
        first = np.flatnonzero(np.diff(value, prepend=-1) | np.diff(leaf, prepend=-1))
        self._blocks = table(_starts(value[first], total + 1))
        self._block_starts = table(np.append(first, len(item)).astype(np.int32))
        self._block_leaves = table(leaf[first])
        self._means, self._variances = table(leaves.means), table(leaves.variances)

    def read(self, wanted: Mapping[str, tf.Tensor]) -> Wanted:
        """[B, V] texts by feature, of which "" is none."""
        nothing, values, given = self._starts[-1], [], []
        for name, lookup, start, end in zip(self.features, self._lookups, self._starts, self._starts[1:], strict=False):
            found = lookup(wanted[name])
            values.append(tf.where((wanted[name] == "") | (found == end - start), nothing, found + start))
            given.append(tf.reduce_any(wanted[name] != "", axis=1))
        return Wanted(tf.concat(values, axis=1), tf.stack(given, axis=1))

    def search(self, others: Search, queries: tf.Tensor, wanted: Wanted, k: tf.Tensor) -> tf.Tensor:
        """[B, D] queries to the [B, k] items of the highest score that have what is wanted, best first; n fills up.

        `others` is the search where nothing is wanted.
        """

        def of_one(one: tuple[tf.Tensor, ...]) -> tf.Tensor:
            query, values, given = one
            return tf.cond(
                tf.reduce_any(given),
                lambda: self._among(query, distinct(values), given, k),
                lambda: others(query[tf.newaxis], k)[0],
            )

        spec = tf.TensorSpec([None], tf.int32)
        found = tf.cond(
            tf.reduce_any(wanted.given),
            lambda: tf.map_fn(of_one, (queries, *wanted), fn_output_signature=spec, parallel_iterations=2),
            lambda: others(queries, k),
        )
        return tf.ensure_shape(found, [None, None])

    def passing(self, items: tf.Tensor, wanted: Wanted) -> tf.Tensor:
        """Whether each of [B, M] items has what its request wants."""

        def of_one(one: tuple[tf.Tensor, ...]) -> tf.Tensor:
            items, values, given = one
            return self._have(items, distinct(values), given)

        return tf.map_fn(of_one, (items, *wanted), fn_output_signature=tf.TensorSpec([None], tf.bool))

    def _among(self, query: tf.Tensor, values: tf.Tensor, given: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        of_feature = tf.gather(self._feature_of, values)
        counts = tf.math.unsorted_segment_sum(tf.gather(self._counts, values), of_feature, len(self.features) + 1)[:-1]
        narrowest = tf.argmin(tf.where(given, counts, tf.int32.max), output_type=tf.int32)
        # An item may have several of the values.
        shares = tf.where(given, tf.minimum(tf.cast(counts, tf.float32) / self._size, 1.0), 1.0)
        chosen = tf.boolean_mask(values, of_feature == narrowest)
        others = tf.math.divide_no_nan(tf.reduce_prod(shares), shares[narrowest])
        blocks = self._searched(query, ranges(self._blocks, chosen).flat_values, others, k)
        found = self._best(query, chosen, blocks, values, given, k)
        found = tf.cond(
            tf.size(found) < k,
            lambda: self._best(query, chosen, ranges(self._blocks, chosen).flat_values, values, given, k),
            lambda: found,
        )
        return tf.pad(found, [[0, k - tf.size(found)]], constant_values=self._unknown)

    def _searched(self, query: tf.Tensor, blocks: tf.Tensor, others: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """Those of [B] blocks to search for the best k, where the share `others` of their items is left by the rest."""
        sizes = tf.gather(self._block_starts, blocks + 1) - tf.gather(self._block_starts, blocks)
        leaves, passing = tf.gather(self._block_leaves, blocks), tf.cast(sizes, tf.float32) * others
        order, before = by_expectation(query, self._means, self._variances, leaves, passing, k)
        scored = tf.cumsum(tf.gather(sizes, order), exclusive=True)
        return tf.boolean_mask(tf.gather(blocks, order), (before < self._share) & (scored < self._most))

    def _best(
        self,
        query: tf.Tensor,
        chosen: tf.Tensor,
        blocks: tf.Tensor,
        values: tf.Tensor,
        given: tf.Tensor,
        k: tf.Tensor,
    ) -> tf.Tensor:
        """The best k items of the blocks, which have one of the chosen values, that have all that is wanted."""
        items = tf.gather(self._items, ranges(self._block_starts, blocks).flat_values)
        if len(self.features) > 1:
            items = tf.cond(
                tf.math.count_nonzero(given) > 1,
                lambda: tf.boolean_mask(items, self._have(items, values, given)),
                lambda: items,
            )
        scores = tf.linalg.matvec(tf.gather(self._vectors, items), query)
        times = tf.minimum(tf.size(chosen), self._most_values)  # That an item may be among them.
        best = tf.math.top_k(scores, tf.minimum(k * times, tf.size(items)))
        return tf.unique(tf.gather(items, best.indices)).y[:k]

    def _have(self, items: tf.Tensor, values: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
        """Whether each of [M] items has one of the (rising) values of every feature that is given."""
        own = ranges(self._item_starts, items)
        features = len(self.features)
        place = tf.cast(own.value_rowids(), tf.int32) * features + tf.gather(
            self._feature_of, tf.gather(self._item_values, own.flat_values)
        )
        hits = tf.cast(is_in(tf.gather(self._item_values, own.flat_values), values), tf.int32)
        found = tf.math.unsorted_segment_max(hits, place, tf.size(items) * features)
        return tf.reduce_all((tf.reshape(found, [-1, features]) > 0) | ~given, axis=1)


def _starts(keys: np.ndarray, count: int) -> np.ndarray:
    """Where each of the numbers below `count` begins among the rising keys, and where the last one ends."""
    return np.searchsorted(keys, np.arange(count + 1)).astype(np.int32)
