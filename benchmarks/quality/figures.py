"""Figures of accuracy from ranks, by groups of queries, with intervals."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from components.evaluator.metrics import ndcg, recall, reciprocal_rank
from models.settings import TOP_KS

WITH_INTERVALS = ("top_100", "ndcg_at_10")

_RESAMPLES = 1_000
_SEED = 0
_LEVEL = 0.95

PerQuery = Mapping[str, np.ndarray]  # [Q] values by the figure's name, whose means are the figures.


def per_query(ranks: np.ndarray, length: int | None = None) -> dict[str, np.ndarray]:
    """Top-k accuracy, nDCG@10 and reciprocal rank of [Q] ranks.

    Args:
      ranks: from 1, infinite where not found.
      length: the longest rank that is known; what needs longer ones is left out. None: all are known.
    """
    columns = ranks[:, np.newaxis]
    found = {f"top_{k}": recall(columns, k) for k in TOP_KS if length is None or k <= length}
    found["ndcg_at_10"] = ndcg(columns, 10)
    if length is None or length >= max(TOP_KS):
        found["mrr"] = reciprocal_rank(columns)
    return found


def mean_of_seeds(runs: list[PerQuery]) -> PerQuery:
    """Each query's figures, averaged over several trainings."""
    return {name: np.mean([run[name] for run in runs], axis=0) for name in runs[0]}


def means(figures: PerQuery) -> dict[str, float]:
    """The figures."""
    return {name: float(np.mean(values)) for name, values in figures.items()}


def of_groups(figures: PerQuery, groups: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The figures of each group that has queries; `groups` are [Q] masks by name."""
    return {
        name: {figure: float(np.mean(values[mask])) for figure, values in figures.items()}
        for name, mask in groups.items()
        if mask.any()
    }


def intervals(figures: PerQuery, users: np.ndarray) -> dict[str, tuple[float, float]]:
    """95 % confidence intervals of the means, by a bootstrap over users, whose queries depend on each other.

    Percentiles of 1,000 resamples with as many users as there are (Efron, 1979), each user with all queries.

    Args:
      figures: [Q] values by name, of which those in WITH_INTERVALS are looked at.
      users: [Q] the user of each query.
    """
    _, user = np.unique(users, return_inverse=True)
    drawn = _draws(user.max() + 1)
    queries = drawn @ np.bincount(user).astype(float)
    tails = (1 - _LEVEL) / 2, (1 + _LEVEL) / 2
    found = {}
    for name in WITH_INTERVALS:
        if name in figures:
            low, high = np.quantile(drawn @ np.bincount(user, figures[name]) / queries, tails)
            found[name] = (float(low), float(high))
    return found


@functools.lru_cache(maxsize=1)
def _draws(users: int) -> np.ndarray:
    """[resamples, U] how often each resample has each user: the same for all models of a table."""
    return np.random.default_rng(_SEED).multinomial(users, np.full(users, 1 / users), _RESAMPLES).astype(float)
