"""Models to be better than, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks.quality import factors, histories, sasrec
from benchmarks.quality.dataset import Dataset
from benchmarks.quality.measure import Model, Values
from benchmarks.quality.popular import Popularity, RecentPopularity
from benchmarks.quality.tuning import Baseline, choose

_REGULARIZATIONS = (100.0, 300.0, 1000.0)
_SASREC_PATIENCE = 2


def _tuned(fit: Callable[[Dataset], Model], for_repeats: bool = False) -> Baseline:
    """A baseline that has only values to be asked with."""
    return Baseline(
        lambda data, seed, values: fit(data), lambda data: iter([({}, fit(data.validation))]), for_repeats=for_repeats
    )


def _eases(data: Dataset) -> Iterator[tuple[Values, Model]]:
    for regularization in _REGULARIZATIONS:
        yield {"lambda": regularization}, histories.ease(data.validation, regularization)


def _blend(data: Dataset) -> Iterator[tuple[Values, Model]]:
    chosen = {name: choose(BASELINES[name], data)._asdict() for name in ("own_history", "ease")}
    yield chosen, histories.Blend(data.validation, chosen)


BASELINES = {
    "popularity": Baseline(lambda data, seed, values: Popularity(data)),
    "recent_popularity": _tuned(RecentPopularity),
    "own_history": _tuned(histories.OwnHistory, for_repeats=True),
    "item_to_item": _tuned(histories.item_to_item),
    "ease": Baseline(lambda data, seed, values: histories.ease(data, values["lambda"]), _eases),
    "own_history_ease": Baseline(lambda data, seed, values: histories.Blend(data, values), _blend, for_repeats=True),
    "ials": Baseline(lambda data, seed, values: factors.ials(data, seed), seeded=True),
    "bpr": Baseline(lambda data, seed, values: factors.bpr(data, seed), seeded=True),
    "tfrs_tutorial": Baseline(lambda data, seed, values: factors.tfrs_tutorial(data, seed), seeded=True),
    "sasrec": Baseline(
        lambda data, seed, values: sasrec.SasRec(data, seed).fit(values["epochs"]),
        sasrec.trials,
        patience=_SASREC_PATIENCE,
        seeded=True,
    ),
}


def applicable(repeats: bool) -> list[str]:
    """Names of the baselines that make sense for a data set."""
    return [name for name, baseline in BASELINES.items() if repeats or not baseline.for_repeats]
