"""Items in leaves by their vectors, so that a search among some of them begins where the best are likely."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.recommender_builder.index import true_neighbours
from components.recommender_builder.settings import Index

_ALL_BELOW = 20_000  # Items whose scores take about a millisecond.
_MOST_LEAVES = 40  # As many average leaves as one search looks at, so that none takes long.
_SAMPLE = 250_000
_MISSES = 0.5  # Of those that `index.recall` admits: other queries and filters than these find somewhat less.
_NARROW = 20  # Of so many items one has the value of the narrow filter that is tuned with.
_STEPS, _ROUNDS = 17, 3  # 16³ places between the lowest and the highest score.
_FARTHEST = 6.0  # Standard deviations from a leaf's mean, beyond which no score lies.
_LEAST_VARIANCE = 1e-12


class Leaves(NamedTuple):
    """Leaves of [n, D] vectors.

    Attributes:
      of_row: [n] int32.
      means, variances: [L, D] float32, of each leaf's vectors.
      share: of a query's best items, how many have to be expected in the leaves that are searched.
      most: how many items are scored at the most, if they hold enough.
    """

    of_row: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    share: float
    most: int


def partition(config: Index, vectors: np.ndarray, queries: np.ndarray) -> Leaves:
    """Leaves of ScaNN's partitioning, and how far to search them; a single one where there are few vectors.

    Args:
      config: the section `index`.
      vectors: [n, D] float32.
      queries: [Q, D] float32, like those that will come.
    """
    rows = len(vectors)
    if config.kind == "exact" or rows < _ALL_BELOW:
        nothing = np.zeros_like(vectors[:1])
        return Leaves(np.zeros(rows, np.int32), nothing, nothing, math.inf, rows)
    from scann import scann_ops

    count = round(math.sqrt(rows))
    builder = scann_ops.builder(vectors, 1, "dot_product").tree(count, count, training_sample_size=min(rows, _SAMPLE))
    of_row = builder.score_brute_force().build().serialize_to_module().datapoint_to_token.numpy().astype(np.int32)
    sizes = np.maximum(np.bincount(of_row, minlength=count), 1)[:, np.newaxis]
    means = _sums(of_row, vectors, count) / sizes
    variances = np.maximum(_sums(of_row, np.square(vectors), count) / sizes - np.square(means), 0)
    leaves = Leaves(of_row, means.astype(np.float32), variances.astype(np.float32), 1.0, _MOST_LEAVES * rows // count)
    return leaves._replace(share=_needed_share(leaves, config, vectors, queries))


def by_expectation(
    query: tf.Tensor, means: tf.Tensor, variances: tf.Tensor, leaves: tf.Tensor, sizes: tf.Tensor, k: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """In which order to search blocks of items, and how much of the best k to expect before each.

    The scores of a block's items are taken as normally distributed, with the mean and the variance that the query gives
    them. So what is searched grows by itself where the best k lie scattered, as those that pass a filter may.

    Args:
      query: [D].
      means, variances: [L, D] of the vectors in each leaf.
      leaves: [B] in which leaf each block is.
      sizes: [B] float, how many items in it may be found.
      k: how many are to be found.

    Returns:
      [B] places of the blocks, and the [B] shares of k in those that come before, which begin with 0.
    """
    mean = tf.gather(tf.linalg.matvec(means, query), leaves)
    variance = tf.gather(tf.linalg.matvec(variances, tf.square(query)), leaves)
    deviation = tf.sqrt(tf.maximum(variance, _LEAST_VARIANCE))
    low, high = tf.reduce_min(mean - _FARTHEST * deviation), tf.reduce_max(mean + _FARTHEST * deviation)
    wanted = tf.cast(k, tf.float32)
    for _ in range(_ROUNDS):  # Ever closer around the score that k items have.
        scores = tf.linspace(low, high, _STEPS)
        better = tf.reduce_sum(sizes * _above((scores[:, tf.newaxis] - mean) / deviation), axis=1)
        place = tf.math.count_nonzero(better[1:-1] > wanted)
        low, high = scores[place], scores[place + 1]
    distance = (low - mean) / deviation
    order = tf.argsort(distance, stable=True)
    expected = tf.gather(sizes * _above(distance), order)
    return order, tf.cumsum(expected, exclusive=True) / wanted


def _above(deviations: tf.Tensor) -> tf.Tensor:
    """Share of a normal distribution that lies so far above its mean, or farther."""
    return tf.math.erfc(deviations / math.sqrt(2)) / 2


def _sums(of_row: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """[L, D] sums of the vectors in each leaf."""
    return np.stack([np.bincount(of_row, weights=of_one, minlength=count) for of_one in vectors.T], axis=1)


def _needed_share(leaves: Leaves, config: Index, vectors: np.ndarray, queries: np.ndarray) -> float:
    """The share with which the recall is reached without a filter, and under those that are the hardest.

    These are the half that lies away from the query, and a small part by chance.
    """
    rng = np.random.default_rng(0)
    along = rng.normal(size=vectors.shape[1]).astype(np.float32)
    heights = vectors @ along
    middle = np.median(heights)
    above, narrow = heights > middle, rng.integers(_NARROW, size=len(vectors)) == 0
    high = queries @ along > middle
    filters = [(np.ones_like(above), queries), (~above, queries[high]), (above, queries[~high]), (narrow, queries)]
    admitted = _MISSES * (1 - config.recall)
    needed = [_needed(leaves, config.candidates, vectors, passing, asked) for passing, asked in filters if len(asked)]
    return float(max(np.quantile(of_one, 1 - admitted) for of_one in needed)) + 1e-6  # It is searched up to there.


def _needed(
    leaves: Leaves, candidates: int, vectors: np.ndarray, passing: np.ndarray, queries: np.ndarray
) -> np.ndarray:
    """[Q, k] share that is expected before the leaf of each of a query's true neighbours among what passes."""
    rows = np.flatnonzero(passing)
    k = min(candidates, len(rows))
    truth = rows[true_neighbours(vectors[rows], queries, k)]
    sizes = np.bincount(leaves.of_row[rows], minlength=len(leaves.means)).astype(np.float32)
    every = np.arange(len(sizes))
    needed = []
    for query, best in zip(queries, truth, strict=True):
        order, before = by_expectation(query, leaves.means, leaves.variances, every, sizes, k)
        of_leaf = np.empty_like(sizes)
        of_leaf[order.numpy()] = before.numpy()
        needed.append(of_leaf[leaves.of_row[best]])
    return np.array(needed)
