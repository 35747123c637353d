"""What TFMA is asked to measure, and its results under the names of report.json."""

from __future__ import annotations

import json
import math
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format

from components.evaluator import metrics
from components.evaluator import outputs as o
from models.settings import TOP_KS

Figures = dict[str, float | None]

OVERALL = ""  # Name of the slice of all queries.
LIVE, POPULARITY = "live", "popularity"  # What a model is compared with.

_LIST_FIGURES = {f"filtered_top_{k}_categorical_accuracy": f"recall_at_{k}" for k in TOP_KS} | {
    "filtered_ndcg_at_10": "ndcg_at_10",
    "filtered_mrr": "mrr",
}

# Section of report.json -> figure -> TFMA's output and metric.
_OF_MODEL = {
    "retrieval": {name: (o.RETRIEVAL, metric) for name, metric in _LIST_FIGURES.items()}
    | {f"filtered_{name}_per_user": (o.PER_USER, name) for name in ("recall_at_10", "ndcg_at_10")},
    "ranking": {name: (o.RATING, name) for name in ("rmse", "mae", "rmse_over_constant", "calibration")}
    | {name: (o.PREFERENCE, name) for name in ("auc", "binary_accuracy")},
    "two_stage": {
        "ndcg_at_10_before": (o.BEFORE, "ndcg_at_10"),
        "ndcg_at_10_after": (o.AFTER, "ndcg_at_10"),
    },
    "recommended": {
        "catalogue_coverage": (o.RECOMMENDED, "catalogue_coverage"),
        "average_popularity": (o.AVERAGE_POPULARITY, "average_popularity"),
        "seen_share": (o.SEEN_SHARE, "seen_share"),
    },
}
_OF_POPULARITY = {name: (o.POPULARITY, metric) for name, metric in _LIST_FIGURES.items()} | {
    "top_100_categorical_accuracy": (o.POPULARITY_UNFILTERED, "recall_at_100")
}


OF_RATINGS = frozenset(_OF_MODEL["ranking"])  # Figures that data without ratings does not have.


def figure_names(reference: str | None, rated: bool) -> list[str]:
    """Names of the figures of a model, or of what it is compared with."""
    if reference == POPULARITY:
        return list(_OF_POPULARITY)
    return [name for figures in _of_model(rated).values() for name in figures]


def _of_model(rated: bool) -> dict[str, dict[str, tuple[str, str]]]:
    return {section: figures if rated or section != "ranking" else {} for section, figures in _OF_MODEL.items()}


def build_eval_config(catalogue_size: int, with_live: bool, rated: bool) -> tfma.EvalConfig:
    """Metrics of every output of `predictions.Predict`, those of the live model included where there is one."""
    prefixes = ["", o.LIVE] if with_live else [""]

    def metrics_of(names, *entries: dict) -> dict[str, Any]:
        return {"output_names": [prefix + name for prefix in prefixes for name in names], "metrics": list(entries)}

    lists = _ours("ListQuality", ks=TOP_KS)
    specs = [
        metrics_of(o.LISTS, lists),
        {"output_names": [o.POPULARITY, o.POPULARITY_UNFILTERED], "metrics": [lists]},
        metrics_of([o.RECOMMENDED], _ours("CatalogueCoverage", catalogue_size=catalogue_size)),
        *(metrics_of([name], _ours("MeanOfQueries", name=name)) for name in (o.AVERAGE_POPULARITY, o.SEEN_SHARE)),
    ]
    if rated:
        specs.append(metrics_of([o.RATING], _ours("RatingErrors")))
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
      rated: whether the data has ratings.
    """

    def __init__(self, result: tfma.EvalResult, with_live: bool, rated: bool):
        self.rated = rated
        self._values = {
            "=".join(slice_key[0]) if slice_key else OVERALL: _values(by_output)
            for slice_key, by_output in result.slicing_metrics
        }
        self.references = [POPULARITY, LIVE] if with_live else [POPULARITY]

    def slices(self) -> list[str]:
        """All slices, that of all queries first."""
        return sorted(self._values)

    def queries(self, slice_: str) -> int:
        """Number of queries in a slice."""
        return int(self._values.get(slice_, {}).get((o.RETRIEVAL, "queries")) or 0)

    def sections(self, slice_: str = OVERALL, prefix: str = "") -> dict[str, Figures]:
        """A model's figures by section of report.json; None where there is nothing to measure, as JSON has no NaN."""
        found = self._values.get(slice_, {})
        return {
            section: {name: found.get((prefix + output, metric)) for name, (output, metric) in names.items()}
            for section, names in _of_model(self.rated).items()
        }

    def figures(self, slice_: str = OVERALL, reference: str | None = None) -> Figures:
        """The figures of the model, or of what it is compared with, by name."""
        if reference == POPULARITY:
            found = self._values.get(slice_, {})
            return {name: found.get(key) for name, key in _OF_POPULARITY.items()}
        sections = self.sections(slice_, o.LIVE if reference == LIVE else "")
        return {name: value for figures in sections.values() for name, value in figures.items()}

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
