"""What lists of recommendations are like beyond accuracy: coverage, novelty, diversity, calibration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import scipy.sparse

from benchmarks.quality.dataset import Dataset, Queries

_HEAD, _TAIL = 0.2, 0.2  # Of the train rows, which the most and the least popular items have.
_LEVELS = 3
_PAIRED = 2_000  # Lists whose pairs are compared.
_BATCH = 500


def figures(lists: np.ndarray, data: Dataset, queries: Queries) -> dict[str, float]:
    """Figures of [Q, K] lists of items, which -1 fills up.

    `coverage`: share of the catalogue that is recommended to anybody.
    `novelty`: mean self-information of the items, in bits (Zhou et al., PNAS 2010).
    `diversity`: mean of 1 - the cosine of two items' train users over the pairs of a list (Ziegler et al., WWW 2005).
    `miscalibration`: how far the list's popularity is from the history's (Abdollahpouri et al., UMAP 2021).
    """
    return {
        "coverage": len(np.unique(lists[lists >= 0])) / data.items,
        "novelty": novelty(lists, data),
        "diversity": diversity(lists, data),
        "miscalibration": miscalibration(lists, data, queries),
    }


def novelty(lists: np.ndarray, data: Dataset) -> float:
    """Mean of -log2 of the share of train users that have the item; one that nobody has counts as had by one."""
    users = np.maximum(1, data.matrix.getnnz(axis=0))
    everybody = max(1, np.count_nonzero(data.matrix.getnnz(axis=1)))
    return float(-np.log2(users[lists[lists >= 0]] / everybody).mean())


def diversity(lists: np.ndarray, data: Dataset) -> float:
    """Mean intra-list distance, of 2,000 evenly spaced lists at most; an item that nobody has is like no other."""
    lists = lists[:: max(1, len(lists) // _PAIRED)][:_PAIRED]
    items = data.matrix.T.tocsr()
    lengths = np.sqrt(np.maximum(1, items.getnnz(axis=1)))
    items = scipy.sparse.diags(1 / lengths) @ items
    itself = np.asarray(items.multiply(items).sum(1))[:, 0]
    cosines = []
    for start in range(0, len(lists), _BATCH):
        some = lists[start : start + _BATCH]
        row, column = np.nonzero(some >= 0)
        taken = some[row, column]
        chosen = scipy.sparse.csr_matrix((np.ones(len(row)), (row, taken)), (len(some), data.items))
        total = chosen @ items
        pairs = np.asarray(total.multiply(total).sum(1))[:, 0] - np.bincount(row, itself[taken], len(some))
        count = np.bincount(row, minlength=len(some)).astype(float)
        cosines.append((pairs / np.maximum(1, count * (count - 1)))[count > 1])
    return float(1 - np.concatenate(cosines).mean())


def miscalibration(lists: np.ndarray, data: Dataset, queries: Queries) -> float:
    """Mean Jensen-Shannon divergence, in bits, of list and history over head, middle and tail of the items.

    Of the queries with a history; NaN where there is none.
    """
    level = popularity_levels(data.counts)
    found = [np.zeros(0)]
    for places in _batches(len(queries)):
        batch = queries.at(places)
        query, place = batch.entries()
        had = _distributions(query, level[batch.log.item[place]], len(batch))
        row, column = np.nonzero(lists[places] >= 0)
        listed = _distributions(row, level[lists[places][row, column]], len(batch))
        both = (had.sum(1) > 0) & (listed.sum(1) > 0)
        found.append(jensen_shannon(had[both], listed[both]))
    divergences = np.concatenate(found)
    return float(divergences.mean()) if len(divergences) else float("nan")


def popularity_levels(counts: np.ndarray) -> np.ndarray:
    """[n] 0 for the most popular items, which have a fifth of the rows, 2 for those with the last fifth, 1 between."""
    order = np.argsort(-counts, kind="stable")
    before = (np.cumsum(counts[order]) - counts[order]) / max(1, counts.sum())
    levels = np.empty(len(counts), np.int64)
    levels[order] = np.where(before < _HEAD, 0, np.where(before < 1 - _TAIL, 1, 2))
    return levels


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[B] divergences of [B, L] distributions, from 0 to 1."""
    middle = (one + other) / 2

    def to_middle(from_: np.ndarray) -> np.ndarray:
        terms = from_ * np.log2(np.where(from_ > 0, from_, 1) / np.where(from_ > 0, middle, 1))
        return terms.sum(1)

    return (to_middle(one) + to_middle(other)) / 2


def _distributions(row: np.ndarray, level: np.ndarray, rows: int) -> np.ndarray:
    """[B, L] shares of each row's entries that are of each level; zeros where it has none."""
    counts = np.bincount(row * _LEVELS + level, minlength=rows * _LEVELS).reshape(rows, _LEVELS)
    return counts / np.maximum(1, counts.sum(1, keepdims=True))


def _batches(rows: int) -> Iterator[np.ndarray]:
    yield from (np.arange(start, min(start + _BATCH, rows)) for start in range(0, rows, _BATCH))
