"""What is popular, and what has been popular of late."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.quality.dataset import Dataset, Queries
from benchmarks.quality.measure import Fixed, Values
from components.evaluator.baselines import WINDOWS

_DAY = 86_400


class Popularity(Fixed):
    """Number of train rows."""

    def __init__(self, data: Dataset):
        self._popularity = data.popularity

    def scores(self, queries: Queries) -> np.ndarray:
        return np.tile(self._popularity, (len(queries), 1))


class RecentPopularity:
    """Number of train rows in the `days` before the query's day; after the end of train, in its last ones."""

    def __init__(self, data: Dataset):
        day = data.train.time // _DAY
        order = np.argsort(day, kind="stable")
        self._day, self._item = day[order], data.train.item[order]
        self._items = data.items

    def scores(self, queries: Queries, days: int) -> np.ndarray:
        moments, row = np.unique(np.minimum(queries.time // _DAY, self._day[-1] + 1), return_inverse=True)
        since, until = np.searchsorted(self._day, moments - days), np.searchsorted(self._day, moments)
        counts = [
            np.bincount(self._item[start:end], minlength=self._items) for start, end in zip(since, until, strict=True)
        ]
        return np.stack(counts).astype(np.float32)[row]

    def trials(self, queries: Queries) -> Iterator[tuple[Values, np.ndarray]]:
        for days in WINDOWS:
            yield {"days": days}, self.scores(queries, days)
