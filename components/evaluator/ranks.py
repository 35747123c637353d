"""Ranks of relevant items, in lists and under popularity. Plain numpy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

_HEAD_SHARE = 0.1  # The most popular tenth of the rated items is the head; the less popular half is the tail.
_TAIL_SHARE = 0.5
POPULARITY_LEVELS = ("never rated", "tail", "middle", "head")


def list_ranks(ids: np.ndarray, scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """[n, R] ranks of each query's relevant items in its list, from 1; infinite where not in the list.

    Equal scores share their middle rank. A tie that reaches the end of the list may go on beyond it, so its members
    count as not found: ties never help.

    Args:
      ids: [n, N] item ids, best first; "" fills a short list up.
      scores: [n, N], falling.
      relevant: [n, R] the items to look for.
    """
    length = ids.shape[1]
    if not length:
        return np.full(relevant.shape, np.inf)
    found = (relevant[:, :, np.newaxis] == ids[:, np.newaxis, :]) & (ids != b"")[:, np.newaxis, :]
    position = found.argmax(axis=2)
    score = np.take_along_axis(scores, position, axis=1)
    tied = (scores[:, np.newaxis, :] == score[:, :, np.newaxis]) & (ids != b"")[:, np.newaxis, :]
    first, count = tied.argmax(axis=2), tied.sum(axis=2)
    open_ended = (count > 1) & (first + count == length)
    return np.where(found.any(axis=2) & ~open_ended, first + (count + 1) / 2, np.inf)


class Popularity:
    """The baseline that orders items by their number of train interactions.

    Args:
      counts: train interactions of each item; an item without any may be left out.
      items: size of the catalogue.
    """

    def __init__(self, counts: Mapping[bytes, int], items: int):
        self._counts = counts
        self._items = items
        self._rising = np.sort(np.array(list(counts.values()), np.int64))

    def counts_of(self, items: Collection[bytes]) -> np.ndarray:
        """The counts of these items, rising: what `ranks` takes as excluded."""
        return np.sort(np.array([self._counts.get(item, 0) for item in items], np.int64))

    def mean_count(self, items: Collection[bytes]) -> float:
        """Train interactions of these items, on average; 0 without any item."""
        return sum(self._counts.get(item, 0) for item in items) / max(len(items), 1)

    def level(self, item: bytes) -> str:
        """One of `POPULARITY_LEVELS`: whether the item was rated, and where it stands among those that were."""
        count = self._counts.get(item, 0)
        if not count:
            return "never rated"
        rated = len(self._rising)
        if count >= self._rising[-1 - int(rated * _HEAD_SHARE)]:
            return "head"
        return "tail" if count <= self._rising[-1 - int(rated * (1 - _TAIL_SHARE))] else "middle"

    def ranks(self, items: Sequence[bytes], excluded_counts: np.ndarray) -> np.ndarray:
        """[n] middle ranks of items, from 1, when others with these (rising) counts are left out."""
        counts = np.array([self._counts.get(item, 0) for item in items], np.int64)
        above = len(self._rising) - np.searchsorted(self._rising, counts, side="right")
        not_below = len(self._rising) - np.searchsorted(self._rising, counts, side="left")
        not_below = np.where(counts, not_below, self._items)  # Items without a rating may have no count.
        excluded_above = len(excluded_counts) - np.searchsorted(excluded_counts, counts, side="right")
        excluded_not_below = len(excluded_counts) - np.searchsorted(excluded_counts, counts, side="left")
        first, last = above - excluded_above + 1, not_below - excluded_not_below
        return (first + last) / 2
