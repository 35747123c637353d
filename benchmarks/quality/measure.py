"""What a model answers: the rank of each query's item among all items, and the list of ten."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from benchmarks.quality.dataset import Queries
from benchmarks.quality.figures import per_query

LIST = 10  # Recommendations that are looked at beyond accuracy.

_BATCH = 512
_CELLS = 2**23  # Queries times items that are scored at once: 32 MB.

Values = dict[str, Any]  # Of a model's parameters, by name.


class Model(Protocol):
    """Scores of all items for queries. A model is fitted already; what its queries' histories count may be open."""

    def scores(self, queries: Queries, **values: Any) -> np.ndarray:
        """[Q, n] float scores, which the caller may change."""

    def trials(self, queries: Queries) -> Iterator[tuple[Values, np.ndarray]]:
        """The values to choose among, with the scores that each gives."""


class Fixed(abc.ABC):
    """A model with nothing to choose."""

    def trials(self, queries: Queries) -> Iterator[tuple[Values, np.ndarray]]:
        yield {}, self.scores(queries)

    @abc.abstractmethod
    def scores(self, queries: Queries) -> np.ndarray:
        """As of a Model."""


class Answers(NamedTuple):
    """Of Q queries.

    Attributes:
      ranks: [Q] from 1; infinite where the item is not found.
      lists: [Q, K] items, best first; -1 where a list is short.
      length: the longest rank that is known; None: all.
    """

    ranks: np.ndarray
    lists: np.ndarray
    length: int | None = None


def answer(model: Model, queries: Queries, values: Values, items: int, repeats: bool) -> Answers:
    """Asks a model about all queries, with the values of its parameters."""
    ranks = np.empty(len(queries))
    lists = np.empty((len(queries), min(LIST, items)), np.int64)
    for places in _batches(queries, items):
        batch = queries.at(places)
        scores = _allowed(model.scores(batch, **values), batch, repeats)
        ranks[places] = middle_ranks(scores, batch.item)
        lists[places] = best(scores, LIST)
    return Answers(ranks, lists)


def objectives(model: Model, queries: Queries, items: int, repeats: bool) -> list[tuple[Values, float]]:
    """Each trial's values, and the geometric mean of top-100 and nDCG@10 with them."""
    tried: list[Values] = []
    ranks: list[np.ndarray] = []
    for places in _batches(queries, items):
        batch = queries.at(places)
        found = [
            (values, middle_ranks(_allowed(scores, batch, repeats), batch.item))
            for values, scores in model.trials(batch)
        ]
        tried = [values for values, _ in found]
        ranks.append(np.stack([of_values for _, of_values in found]))
    figures = [per_query(of_values) for of_values in np.concatenate(ranks, axis=1)] if ranks else []
    means = [(of["top_100"].mean(), of["ndcg_at_10"].mean()) for of in figures]
    return [(values, float(np.sqrt(top * ndcg))) for values, (top, ndcg) in zip(tried, means, strict=True)]


def middle_ranks(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Rank of each row's true column, from 1; equal scores share their middle rank.

    Args:
      scores: [B, n]; -inf leaves a column out.
      true: [B] columns.
    """
    of_true = scores[np.arange(len(true)), true][:, np.newaxis]
    above, equal = (scores > of_true).sum(1), (scores == of_true).sum(1)
    return np.where(np.isneginf(of_true[:, 0]), np.inf, 1 + above + (equal - 1) / 2)


def best(scores: np.ndarray, length: int) -> np.ndarray:
    """[B, K] columns with the highest of [B, n] scores, best first; -1 for those that are left out."""
    length = min(length, scores.shape[1])
    some = np.argpartition(-scores, length - 1, axis=1)[:, :length]
    of_some = np.take_along_axis(scores, some, axis=1)
    order = np.argsort(-of_some, axis=1, kind="stable")
    some, of_some = (np.take_along_axis(values, order, axis=1) for values in (some, of_some))
    return np.where(np.isneginf(of_some), -1, some)


def _allowed(scores: np.ndarray, queries: Queries, repeats: bool) -> np.ndarray:
    """The scores, where items do not repeat without those of the histories."""
    if not repeats:
        query, place = queries.entries()
        scores[query, queries.log.item[place]] = -np.inf
    return scores


def _batches(queries: Queries, items: int) -> Iterator[np.ndarray]:
    """Places of queries, the earliest first, as few together as the number of items allows."""
    size = max(1, min(_BATCH, _CELLS // items))
    order = np.argsort(queries.time, kind="stable")
    yield from (order[start : start + size] for start in range(0, len(order), size))
