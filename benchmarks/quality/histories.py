"""Models that sum over a query's history: the items themselves, what occurs with them, and EASE.

An entry counts exp(-Δt/τ) + c, where Δt is its distance in time from the query; with an infinite τ all count the same.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator

import numpy as np
import scipy.sparse

from benchmarks.quality.dataset import Dataset, Queries
from benchmarks.quality.measure import Values

_DAY = 86_400.0
_ALWAYS = "inf"
_SECONDS = {
    "5 min": 300.0,
    "1 h": 3_600.0,
    "1 day": _DAY,
    "7 days": 7 * _DAY,
    "30 days": 30 * _DAY,
    "90 days": 90 * _DAY,
    "180 days": 180 * _DAY,
    _ALWAYS: math.inf,
}
_CONSTANTS = (0.0, 0.05, 0.2, 1.0)
_MOST_ITEMS = 12_000  # Of a dense matrix of items: 576 MB.
_DENSE_FROM = 300  # Entries of a history with which the dense product is the faster one.
_BLEND_WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)


class HistorySums(abc.ABC):
    """Scores that are linear in the weights of the history; popularity where there is none.

    Args:
      data: of which the train rows are looked at.
      decays: names of the finite τ to choose among.
    """

    def __init__(self, data: Dataset, decays: tuple[str, ...]):
        self._popularity = data.popularity
        self._decays = decays

    def scores(self, queries: Queries, tau: str, c: float = 0.0) -> np.ndarray:
        return self._over_popularity(self.sums(queries, tau, c))

    def trials(self, queries: Queries) -> Iterator[tuple[Values, np.ndarray]]:
        equal = self.sums(queries, _ALWAYS)
        yield {"tau": _ALWAYS}, self._over_popularity(equal.copy())
        for tau in self._decays:
            decayed = self.sums(queries, tau)
            for c in _CONSTANTS:
                yield {"tau": tau, "c": c}, self._over_popularity(decayed + np.float32(c) * equal)

    def sums(self, queries: Queries, tau: str, c: float = 0.0) -> np.ndarray:
        """[Q, n] sums over the histories; of items that the model does not know, zero."""
        query, place = queries.entries()
        distance = np.abs(queries.time[query] - queries.log.time[place])
        weights = (np.exp(-distance / _SECONDS[tau]) + c).astype(np.float32)
        shape = len(queries), len(self._popularity)
        return self._sums(scipy.sparse.csr_matrix((weights, (query, queries.log.item[place])), shape))

    @abc.abstractmethod
    def _sums(self, histories: scipy.sparse.csr_matrix) -> np.ndarray:
        """[Q, n] sums from [Q, n] weights."""

    @abc.abstractmethod
    def _below(self, sums: np.ndarray) -> np.ndarray:
        """Puts the items that the sums say nothing of below the others, the popular ones first."""

    def _over_popularity(self, sums: np.ndarray) -> np.ndarray:
        without = ~sums.any(1)
        scores = self._below(sums)
        scores[without] = self._popularity
        return scores


class OwnHistory(HistorySums):
    """The items of the history, by how often and how lately they occur, and then the popular ones."""

    def __init__(self, data: Dataset):
        super().__init__(data, ("7 days", "30 days", "90 days", "180 days"))

    def _sums(self, histories: scipy.sparse.csr_matrix) -> np.ndarray:
        return histories.toarray()

    def _below(self, sums: np.ndarray) -> np.ndarray:
        return np.where(sums > 0, sums, self._popularity - 1)


class SimilarItems(HistorySums):
    """Items that are similar to those of the history.

    Args:
      data: as above.
      known: [m] the items that have similarities.
      similarities: [m, m] of the rows, which a history has, to the columns.
    """

    def __init__(self, data: Dataset, known: np.ndarray, similarities: np.ndarray):
        super().__init__(data, ("5 min", "1 h", "1 day", "7 days", "30 days", "90 days"))
        self._known, self._similarities = known, similarities
        self._unknown = np.setdiff1d(np.arange(data.items), known)

    def _sums(self, histories: scipy.sparse.csr_matrix) -> np.ndarray:
        histories = histories[:, self._known]
        long = histories.nnz > _DENSE_FROM * histories.shape[0]
        sums = np.zeros((histories.shape[0], len(self._popularity)), np.float32)
        sums[:, self._known] = (histories.toarray() if long else histories) @ self._similarities
        return sums

    def _below(self, sums: np.ndarray) -> np.ndarray:
        sums[:, self._unknown] = sums.min(1, keepdims=True) - 1 + self._popularity[self._unknown]
        return sums


def item_to_item(data: Dataset) -> SimilarItems:
    """Cosine of the items' train users, of the 12,000 most frequent items at most (Sarwar et al., WWW 2001)."""
    known, matrix = _most_frequent(data)
    matrix = matrix @ scipy.sparse.diags(1 / np.sqrt(np.maximum(1, matrix.getnnz(axis=0))).astype(np.float32))
    return SimilarItems(data, known, (matrix.T @ matrix).toarray())


def ease(data: Dataset, regularization: float) -> SimilarItems:
    """EASE (Steck, WWW 2019): item-item regression in closed form, of the 12,000 most frequent items at most."""
    known, matrix = _most_frequent(data)
    gram = (matrix.T @ matrix).toarray()
    gram[np.diag_indices_from(gram)] += regularization
    precision = np.linalg.inv(gram)
    weights = -precision / np.diag(precision)
    weights[np.diag_indices_from(weights)] = 0
    return SimilarItems(data, known, weights)


def _most_frequent(data: Dataset) -> tuple[np.ndarray, scipy.sparse.csr_matrix]:
    """[m] items, and [U, m] which users have them."""
    order = np.argsort(-data.counts, kind="stable")[:_MOST_ITEMS]
    known = np.sort(order[data.counts[order] > 0])
    return known, data.matrix[:, known]


class Blend:
    """The user's own items, and EASE with a `weight`; both are scaled to a sum of one, and have the values chosen.

    Args:
      data: as above.
      chosen: the choices of `own_history` and `ease`, by these names.
    """

    def __init__(self, data: Dataset, chosen: Values):
        self._own, self._ease = OwnHistory(data), ease(data, chosen["ease"]["fitted"]["lambda"])
        self._chosen = chosen
        self._popularity = data.popularity

    def scores(self, queries: Queries, weight: float) -> np.ndarray:
        return self._joined(*self._parts(queries), weight)

    def trials(self, queries: Queries) -> Iterator[tuple[Values, np.ndarray]]:
        parts = self._parts(queries)
        for weight in _BLEND_WEIGHTS:
            yield {"weight": weight}, self._joined(*parts, weight)

    def _parts(self, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
        own = self._own.sums(queries, **self._chosen["own_history"]["asked"][queries.history])
        similar = self._ease.scores(queries, **self._chosen["ease"]["asked"][queries.history])
        return _to_unit_sum(own), _to_unit_sum(similar)

    def _joined(self, own: np.ndarray, similar: np.ndarray, weight: float) -> np.ndarray:
        return own + np.float32(weight) * similar


def _to_unit_sum(scores: np.ndarray) -> np.ndarray:
    """Scores whose positive ones have the sum one."""
    totals = np.maximum(scores, 0).sum(1, keepdims=True)
    return scores / np.where(totals > 0, totals, 1)
