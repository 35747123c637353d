"""What a model, and what was popular lately, would have recommended the next day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from components.evaluator.metrics import NDCG_LENGTH, ndcg, recall
from components.evaluator.ranks import list_ranks
from components.queries import MeasuredServable
from models.features import names as f
from models.features.feature_set import FeatureSet

_K = 100
_BATCH = 256
_DAY = 86_400
_WINDOWS = (1, 7, 30, 90, 365, 36_500)  # Days that "lately" may mean.
_SEED = 42

Figures = dict[str, float]


class Log:
    """Interactions by user and time.

    Args:
      rows: as `days.read_interactions` gives them.
      features: of the data.
    """

    def __init__(self, rows: pa.Table, features: FeatureSet):
        self._rows, self._features = rows, features
        self.time = rows[f.TIMESTAMP].to_numpy()
        self._user = rows[f.USER_ID].combine_chunks().dictionary_encode().indices.to_numpy()
        items = rows[f.ITEM_ID].combine_chunks().dictionary_encode()
        self._item = items.indices.to_numpy()
        self._ids = np.array([*map(str.encode, items.dictionary.to_pylist())], object)
        self._starts = np.searchsorted(self._user, self._user)  # Of each row's user.

    def asked(self, begins: int, ends: int, most: int) -> np.ndarray:
        """Rows of a time, drawn at random; unless items repeat, none of an item that its user had before."""
        found = np.flatnonzero((self.time >= begins) & (self.time < ends))
        if not self._features.histories.repeats:
            had = [self._item[row] in self._item[slice(*self._history(row))] for row in found]
            found = found[~np.array(had, bool)]
        drawn = np.random.default_rng(_SEED).permutation(len(found))[:most]
        return found[np.sort(drawn)]

    def _history(self, row: int) -> tuple[int, int]:
        """Where the rows begin and end that the user had before a row's second."""
        start = self._starts[row]
        return int(start), int(start + np.searchsorted(self.time[start:row], self.time[row]))

    def of_model(self, model, rows: np.ndarray) -> Figures:
        """Figures of a servable that is asked with everything that users did before."""
        measured = MeasuredServable(model, self._ids)
        ranks: dict[str, list[np.ndarray]] = {"retrieved": [], "recommended": []}
        for some in np.split(rows, range(_BATCH, len(rows), _BATCH)):
            wanted = self._item[some]
            answers = measured(self._requests(some), tf.constant(self._ids[wanted]))
            for name, of_list in ranks.items():
                of_list.append(list_ranks(answers[name], answers[f"{name}_score"], wanted[:, np.newaxis]))
        return _figures(*map(np.concatenate, ranks.values()))

    def _requests(self, rows: np.ndarray) -> dict[str, tf.Tensor]:
        histories = [self._history(row) for row in rows]
        length = max(1, min(self._features.histories.known, max(end - start for start, end in histories)))
        items = np.full([len(rows), length], b"", object)
        times = np.zeros([len(rows), length], np.int64)
        for place, (start, end) in enumerate(histories):
            latest = np.arange(end - 1, max(start, end - length) - 1, -1)
            items[place, : len(latest)] = self._ids[self._item[latest]]
            times[place, : len(latest)] = self.time[latest]
        taken = self._rows.take(pa.array(rows))
        query: dict[str, Any] = {
            f.USER_ID: [*map(str.encode, taken[f.USER_ID].to_pylist())],
            f.TIMESTAMP: self.time[rows],
            f.HISTORY_ITEM_ID: items,
            f.HISTORY_TIMESTAMP: times,
        }
        for name, feature in self._features.context.items():
            query[name] = pc.fill_null(taken[name], feature.missing).to_pylist()
        return {name: tf.constant(values) for name, values in query.items()}

    def of_popularity(self, rows: np.ndarray, until: int, days: int) -> Figures:
        """Figures of what was popular in the days before a time; equal counts share their middle rank."""
        lately = (self.time < until) & (self.time >= until - days * _DAY)
        counts = np.bincount(self._item[lately], minlength=len(self._ids))
        ranks = np.empty([len(rows), 1])
        for place, row in enumerate(rows):
            left = counts.astype(float)
            if not self._features.histories.repeats:
                left[self._item[slice(*self._history(row))]] = -1
            own = left[self._item[row]]
            ranks[place] = np.count_nonzero(left > own) + (np.count_nonzero(left == own) + 1) / 2 if own else np.inf
        return _figures(ranks, ranks)

    def recent_popularity(self, rows: np.ndarray, until: int, most: int) -> Figures:
        """As `of_popularity`, of the days that would have been best the day before, which was known."""
        before = self.asked(until - _DAY, until, most)
        tried = {days: self.of_popularity(before, until - _DAY, days)["ndcg_at_10"] for days in _WINDOWS}
        days = max(tried, key=tried.__getitem__)
        return self.of_popularity(rows, until, days) | {"days": days}


def _figures(retrieved: np.ndarray, ranked: np.ndarray) -> Figures:
    return {"top_100": float(recall(retrieved, _K).mean()), "ndcg_at_10": float(ndcg(ranked, NDCG_LENGTH).mean())}
