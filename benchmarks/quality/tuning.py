"""How a baseline's values are chosen: on a validation part of train."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.quality.dataset import Dataset
from benchmarks.quality.measure import Model, Values, objectives


class TooLarge(Exception):
    """A model would need more memory or time than the benchmark allows. The message says how much."""


@dataclass(frozen=True)
class Baseline:
    """A model to be better than.

    Attributes:
      fit: a data set, a seed and the values that fitting needs to the fitted model.
      trials: a data set to each of those values, with a model of its validation part; None where there is nothing to
        choose. No more is taken than `patience` says. Raises TooLarge.
      patience: how many trials after the best one are made.
      seeded: whether the seed matters.
      for_repeats: whether it makes sense only where items repeat.
    """

    fit: Callable[[Dataset, int, Values], Model]
    trials: Callable[[Dataset], Iterator[tuple[Values, Model]]] | None = None
    patience: int = 1_000
    seeded: bool = False
    for_repeats: bool = False


class Choice(NamedTuple):
    """Chosen values: those of fitting and, by what a query knows, those that it is asked with."""

    fitted: Values
    asked: dict[str, Values]


@functools.cache
def choose(baseline: Baseline, data: Dataset) -> Choice:
    """The values with the highest objective on the validation part of train; no eval row is looked at.

    Values of fitting are the same for all histories: those with the best sum of objectives.
    """
    best = Choice({}, {name: {} for name in data.asked})
    if baseline.trials is None:
        return best
    part = data.validation
    highest, since = -1.0, 0
    for fitted, model in baseline.trials(data):
        asked, total = {}, 0.0
        for name, queries in part.asked.items():
            tried = objectives(model, queries, part.items, part.repeats)
            asked[name], value = max(tried, key=lambda pair: pair[1], default=({}, 0.0))
            total += value
        since += 1
        if total > highest:
            best, highest, since = Choice(fitted, asked), total, 0
        if since == baseline.patience:
            break
    return best
