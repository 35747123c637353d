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
    """Number of train rows in the `days` before the query, to the second; after the end of train, in its last days."""

    def __init__(self, data: Dataset):
        order = np.argsort(data.train.time, kind="stable")
        self._time, self._item = data.train.time[order], data.train.item[order]
        self._items = data.items

    def scores(self, queries: Queries, days: int) -> np.ndarray:
        moments, row = np.unique(np.minimum(queries.time, self._time[-1] + 1), return_inverse=True)
        changes = np.zeros((len(moments), self._items), np.float32)  # From one moment to the next.
        for edges, sign in ((moments, 1), (moments - days * _DAY, -1)):
            ends = np.searchsorted(self._time, edges)
            places = np.searchsorted(ends, np.arange(ends[-1]), "right")
            np.add.at(changes, (places, self._item[: ends[-1]]), sign)
        return np.cumsum(changes, axis=0)[row]

    def trials(self, queries: Queries) -> Iterator[tuple[Values, np.ndarray]]:
        for days in WINDOWS:
            yield {"days": days}, self.scores(queries, days)
