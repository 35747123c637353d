"""Items in leaves by their vectors, so that a search among some of them looks at the nearest first."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from components.recommender_builder.index import true_neighbours
from components.recommender_builder.settings import Index

_ALL_BELOW = 20_000  # Items whose scores take about a millisecond.
_SAMPLE = 250_000
_SPARE = 1.5  # Items that are scored for each that a search without a filter needs: one may leave few of the nearest.


class Leaves(NamedTuple):
    """Leaves of [n, D] vectors.

    Attributes:
      of_row: [n] int32.
      centroids: [L, D] float32.
      scored: how many items of the nearest leaves have to be scored to find enough.
    """

    of_row: np.ndarray
    centroids: np.ndarray
    scored: int


def partition(config: Index, vectors: np.ndarray, queries: np.ndarray) -> Leaves:
    """Leaves of ScaNN's partitioning, and how far to search them; a single one where there are few vectors.

    Args:
      config: the section `index`.
      vectors: [n, D] float32.
      queries: [Q, D] float32, like those that will come.
    """
    rows = len(vectors)
    if config.kind == "exact" or rows < _ALL_BELOW:
        return Leaves(np.zeros(rows, np.int32), np.zeros_like(vectors[:1]), rows)
    from scann import scann_ops

    count = round(math.sqrt(rows))
    builder = scann_ops.builder(vectors, 1, "dot_product").tree(count, count, training_sample_size=min(rows, _SAMPLE))
    of_row = builder.score_brute_force().build().serialize_to_module().datapoint_to_token.numpy()
    sizes = np.bincount(of_row, minlength=count)
    sums = [np.bincount(of_row, weights=of_dimension, minlength=count) for of_dimension in vectors.T]
    centroids = (np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, np.newaxis]).astype(np.float32)
    order = np.argsort(-queries @ centroids.T, axis=1)
    before = np.empty_like(order)  # [Q, L] items in leaves that are nearer.
    np.put_along_axis(before, order, np.cumsum(sizes[order], axis=1) - sizes[order], axis=1)
    truth = true_neighbours(vectors, queries, min(config.candidates, rows))
    needed = np.take_along_axis(before, of_row[truth], axis=1)
    scored = math.ceil(_SPARE * np.quantile(needed, config.recall)) + 1
    return Leaves(of_row.astype(np.int32), centroids, min(scored, rows))
