"""Which settings of a search are the fastest that find enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

_WARM_UP, _TIMED_QUERIES = 5, 100
_SURE = 2.0

Search = Callable[[np.ndarray], np.ndarray]  # [B, D] queries to [B, k] rows, best first.


class Trial(NamedTuple):
    """Settings of a search, and what was measured of it."""

    settings: Any
    recall: float
    reached: bool  # Whether that is surely the recall that was wanted.
    milliseconds: float  # Median of a search for one query.


def fastest(
    groups: Sequence[Sequence[Any]],
    search: Callable[[Any], Search],
    queries: np.ndarray,
    truth: np.ndarray,
    recall: float,
) -> Trial:
    """The fastest settings that reach a recall; where none does, those that come nearest.

    It is reached where the mean over the queries is above it by `_SURE` standard errors, so that other queries, too,
    may be expected to reach it.

    Args:
      groups: settings; in each group from the cheapest, that finds least, to the dearest.
      search: the search with some settings.
      queries: [Q, D], none of which the search was built from.
      truth: [Q, k] rows that an exact search finds.
      recall: of the truth, that has to be reached.
    """
    reached, best = [], None
    for group in groups:
        for settings in group:
            of_queries = recalls(search(settings)(queries), truth)
            mean, error = float(of_queries.mean()), of_queries.std() / np.sqrt(len(of_queries))
            is_sure = mean - _SURE * error >= recall
            found = settings, mean, is_sure
            if best is None or mean > best[1]:
                best = found
            if is_sure:
                reached.append(found)
                break
    trials = [Trial(*one, median_milliseconds(search(one[0]), queries)) for one in reached or [best]]
    return min(trials, key=lambda trial: trial.milliseconds)


def recalls(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """[Q] recalls: the fraction of each row's true neighbours that were found; both are [Q, k]."""
    return np.array([len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True)]) / truth.shape[1]


def median_milliseconds(search: Search, queries: np.ndarray) -> float:
    """Of a search for one query."""
    seconds = []
    for query in queries[: _WARM_UP + _TIMED_QUERIES]:
        started = perf_counter()
        search(query[np.newaxis])
        seconds.append(perf_counter() - started)
    return float(np.median(seconds[_WARM_UP:] or seconds)) * 1000


def geometric_steps(first: float, last: int, factor: float) -> list[int]:
    """Whole numbers from `first` to `last`, each about `factor` times the one before."""
    steps = max(0, math.ceil(math.log(last / first, factor)))
    return sorted({min(last, max(1, round(first * factor**step))) for step in range(steps)} | {last})
