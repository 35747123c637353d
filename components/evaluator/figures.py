"""What TFMA is asked to measure, and its results under the names of report.json."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import tensorflow_model_analysis as tfma
from google.protobuf import json_format

from components.evaluator import metrics
from components.evaluator import outputs as o
from models.features.feature_set import FeatureSet
from models.settings import TOP_KS

Figures = dict[str, float | None]

OVERALL = ""  # Name of the slice of all queries.
LIVE = "live"  # What a model is compared with, beside the baselines.
BEST_BASELINE = "popularity"  # Of a threshold: the best of all baselines, as recent popularity is popularity, too.

_LIST_FIGURES = {f"filtered_top_{k}_categorical_accuracy": f"recall_at_{k}" for k in TOP_KS} | {
    "filtered_ndcg_at_10": "ndcg_at_10",
    "filtered_mrr": "mrr",
}
_GATED = "filtered_top_k_categorical_accuracy"  # For the length of list that `gated_length` gives.
_WELL_BELOW = 10  # How many times a list's length the items have to be, not to be found by chance.

# Section of report.json -> figure -> TFMA's output and metric.
_RETRIEVAL = {name: (o.RETRIEVAL, metric) for name, metric in _LIST_FIGURES.items()} | {
    f"filtered_{name}_per_user": (o.PER_USER, name) for name in ("recall_at_10", "ndcg_at_10")
}
_RATING = {name: (o.RATING, name) for name in ("rmse", "mae", "rmse_over_constant", "calibration")}
_PREFERENCE = {name: (o.PREFERENCE, name) for name in ("auc", "binary_accuracy")}
_TWO_STAGE = {"ndcg_at_10_before": (o.BEFORE, "ndcg_at_10"), "ndcg_at_10_after": (o.AFTER, "ndcg_at_10")}
GAIN = "gain"  # Of two-stage quality: after over before.
GAIN_UPPER = "gain_upper"  # The upper end of the gain's 95 % interval.
_SURE = 1.96  # Standard errors.
COVERAGE_IN_LISTS = "coverage_in_lists"
_RECOMMENDED = {
    "catalogue_coverage": (o.RECOMMENDED, "catalogue_coverage"),
    COVERAGE_IN_LISTS: (o.RECOMMENDED, COVERAGE_IN_LISTS),
    "average_popularity": (o.AVERAGE_POPULARITY, "average_popularity"),
    "seen_share": (o.SEEN_SHARE, "seen_share"),
}


def gated_length(items: int, candidates: int) -> int:
    """The longest measured list that is well shorter than all items that train has, and not longer than `retrieve`'s.

    Items that nobody had do not count: the others are all that popularity has to order.
    """
    return max((k for k in TOP_KS if k <= candidates and k * _WELL_BELOW <= items), default=min(TOP_KS))


class Kind(NamedTuple):
    """What decides which figures there are.

    Attributes:
      rated: whether the data has ratings.
      has_positives: whether some interactions are positive and others not.
      repeats: whether users may have an item again.
    """

    rated: bool
    has_positives: bool
    repeats: bool

    @classmethod
    def of(cls, features: FeatureSet) -> Kind:
        return cls(features.rated, features.positive is not None, features.histories.repeats)

    def baselines(self) -> list[str]:
        """Names of what is simple."""
        return [o.POPULARITY, o.RECENT_POPULARITY, *([o.OWN_HISTORY] if self.repeats else [])]

    def absent(self) -> set[str]:
        """Figures that other data has."""
        return {*(() if self.rated else _RATING), *(() if self.has_positives else _PREFERENCE)}

    def sections(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Of a model: sections of report.json with figures, and where TFMA has them."""
        of_ranking = (_RATING if self.rated else {}) | (_PREFERENCE if self.has_positives else {})
        return {"retrieval": _RETRIEVAL, "ranking": of_ranking, "two_stage": _TWO_STAGE, "recommended": _RECOMMENDED}

    def figure_names(self, reference: str | None) -> list[str]:
        """Names of the figures of a model, or of what it is compared with."""
        if reference == BEST_BASELINE:
            return [_GATED, *_LIST_FIGURES]
        return [_GATED, GAIN, GAIN_UPPER, *(name for figures in self.sections().values() for name in figures)]


def build_eval_config(catalogue_size: int, with_live: bool, kind: Kind) -> tfma.EvalConfig:
    """Metrics of every output of `predictions.Predict`, those of the live model included where there is one."""
    prefixes = ["", o.LIVE] if with_live else [""]

    def metrics_of(names, *entries: dict) -> dict[str, Any]:
        return {"output_names": [prefix + name for prefix in prefixes for name in names], "metrics": list(entries)}

    lists = _ours("ListQuality", ks=TOP_KS)
    specs = [
        metrics_of(o.LISTS, lists),
        {"output_names": [o.UNFILTERED, *kind.baselines()], "metrics": [lists]},
        metrics_of([o.MOVED], _ours("StandardError")),
        metrics_of([o.RECOMMENDED], _ours("CatalogueCoverage", catalogue_size=catalogue_size)),
        *(metrics_of([name], _ours("MeanOfQueries", name=name)) for name in (o.AVERAGE_POPULARITY, o.SEEN_SHARE)),
    ]
    if kind.rated:
        specs.append(metrics_of([o.RATING], _ours("RatingErrors")))
    if kind.has_positives:
        of_preference = _ours("Auc", name="auc"), _ours("Accuracy", name="binary_accuracy")
        specs.append(metrics_of([o.PREFERENCE], *of_preference))
    return json_format.ParseDict({"model_specs": [{}], "metrics_specs": specs}, tfma.EvalConfig())


def _ours(class_name: str, **config: Any) -> dict[str, str]:
    return {"class_name": class_name, "module": metrics.__name__, "config": json.dumps(config)}


class Measured:
    """TFMA's result.

    Args:
      result: TFMA's.
      with_live: whether the live model was measured too.
      kind: of the data.
      k: the length of lists that the gate compares.
    """

    def __init__(self, result: tfma.EvalResult, with_live: bool, kind: Kind, k: int):
        self.kind = kind
        self.k = k
        self._values = {
            "=".join(slice_key[0]) if slice_key else OVERALL: _values(by_output)
            for slice_key, by_output in result.slicing_metrics
        }
        self.references = [*kind.baselines(), *([LIVE] if with_live else [])]

    def slices(self) -> list[str]:
        """All slices, that of all queries first."""
        return sorted(self._values)

    def queries(self, slice_: str) -> int:
        """Number of queries in a slice."""
        return int(self._values.get(slice_, {}).get((o.RETRIEVAL, "queries")) or 0)

    def sections(self, slice_: str = OVERALL, prefix: str = "") -> dict[str, Figures]:
        """A model's figures by section of report.json; None where there is nothing to measure, as JSON has no NaN."""
        found = self._values.get(slice_, {})
        sections = {
            section: {name: found.get((prefix + output, metric)) for name, (output, metric) in names.items()}
            for section, names in self.kind.sections().items()
        }
        before, after = sections["two_stage"].values()
        error = found.get((prefix + o.MOVED, "standard_error"))
        for name, more in ((GAIN, 0.0), (GAIN_UPPER, _SURE * (error or 0.0))):
            sections["two_stage"][name] = ((after or 0.0) + more) / before if before else None
        return sections

    def figures(self, slice_: str = OVERALL, reference: str | None = None) -> Figures:
        """The figures of the model, or of what it is compared with, by name."""
        if reference in self.kind.baselines():
            found = self._values.get(slice_, {})
            figures = {name: found.get((reference, metric)) for name, metric in _LIST_FIGURES.items()}
            if reference == o.POPULARITY:
                figures["top_100_categorical_accuracy"] = found.get((o.UNFILTERED, "recall_at_100"))
            return figures
        sections = self.sections(slice_, o.LIVE if reference == LIVE else "")
        return {name: value for figures in sections.values() for name, value in figures.items()}

    def best_baseline(self, metric: str, slice_: str = OVERALL) -> tuple[str, float | None]:
        """The baseline that is best by a figure, of which more is better, and its value."""
        values = {name: self.figures(slice_, name).get(metric) for name in self.kind.baselines()}
        best = max(values, key=lambda name: values[name] or 0.0)
        return best, values[best]

    def resolved(self, metric: str) -> str:
        """The figure that a threshold means."""
        return metric.replace("_top_k_", f"_top_{self.k}_")

    def report_slices(self, min_queries: int) -> dict[str, Figures]:
        """The figures of each slice of at least so many queries, those of references with their name in front."""
        report = {}
        for slice_ in self.slices()[1:]:
            if self.queries(slice_) >= min_queries:
                report[slice_] = {"queries": self.queries(slice_)} | self.figures(slice_)
                for reference in self.references:
                    figures = self.figures(slice_, reference)
                    report[slice_] |= {f"{reference}_{name}": value for name, value in figures.items()}
        return report


def _values(by_output: dict[str, Any]) -> dict[tuple[str, str], float | None]:
    found = {
        (output, name): float(value["doubleValue"])
        for output, by_subkey in by_output.items()
        for name, value in by_subkey[""].items()
        if "doubleValue" in value
    }
    return {key: value if math.isfinite(value) else None for key, value in found.items()}
