"""What is measured, what a model has to reach, and what to say of one that does not."""

from __future__ import annotations

import json
import math
from typing import Any

import tensorflow_model_analysis as tfma
from google.protobuf import json_format
from tensorflow_model_analysis.proto import validation_result_pb2

from components.evaluation import metrics
from components.evaluation import predictions as p
from pipeline.config import Evaluation
from pipeline.retrieval import TOP_KS

_SLICES = (p.USER, p.HISTORY, p.POPULARITY_OF_MOVIE)
_LISTS = (p.RETRIEVAL, p.PER_USER, p.BEFORE, p.AFTER, p.POPULARITY, p.POPULARITY_UNFILTERED)


def build_eval_config(limits: Evaluation) -> tfma.EvalConfig:
    """Metrics of every output of `predictions.Predict`, and the thresholds."""
    rmse = _metric("RootMeanSquaredError", name="rmse")
    if limits.max_rmse is not None:
        rmse |= _threshold(upper_bound=limits.max_rmse)
    specs = [
        _metrics(_LISTS, _ours("ListQuality", ks=TOP_KS)),
        _metrics([p.RETRIEVAL], _metric("ExampleCount")),
        _metrics(
            [p.LIFT],
            _ours("LiftOverBaseline", name="lift_at_100", k=100)
            | _threshold(lower_bound=limits.min_lift_over_popularity),
        ),
        _metrics(
            [p.RATING],
            rmse,
            _ours("ErrorOverConstant", name="rmse_over_constant")
            | _threshold(upper_bound=limits.max_rmse_over_constant),
            _metric("MeanAbsoluteError", name="mae"),
        ),
        _metrics([p.PREFERENCE], _metric("AUC", name="auc"), _metric("BinaryAccuracy", name="binary_accuracy")),
    ]
    return json_format.ParseDict(
        {
            "model_specs": [{}],
            "slicing_specs": [{}, *({"feature_keys": [name]} for name in _SLICES)],
            "metrics_specs": specs,
        },
        tfma.EvalConfig(),
    )


def _metrics(outputs, *entries: dict) -> dict[str, Any]:
    return {"output_names": list(outputs), "metrics": list(entries)}


def _metric(class_name: str, **config: Any) -> dict[str, str]:
    return {"class_name": class_name, "config": json.dumps(config)}


def _ours(class_name: str, **config: Any) -> dict[str, str]:
    return _metric(class_name, **config) | {"module": metrics.__name__}


def _threshold(**bound: float) -> dict[str, Any]:
    """A limit on the value over all examples; slices are not held to it."""
    return {"per_slice_thresholds": [{"slicing_specs": [{}], "threshold": {"value_threshold": bound}}]}


def report_metrics(result: tfma.EvalResult, unfiltered: dict[str, float], index: dict[str, Any]) -> dict[str, Any]:
    """The `metrics` section of report.json.

    Args:
      result: TFMA's.
      unfiltered: the retrieval Trainer's validation.
      index: kind and recall of the index.
    """
    value = _values(next(found for slice_key, found in result.slicing_metrics if not slice_key))
    filtered = {f"filtered_top_{k}_categorical_accuracy": value[p.RETRIEVAL, f"recall_at_{k}"] for k in TOP_KS}
    return {
        "retrieval": {
            **unfiltered,
            **filtered,
            "filtered_ndcg_at_10": value[p.RETRIEVAL, "ndcg_at_10"],
            "filtered_recall_at_10_per_user": value[p.PER_USER, "recall_at_10"],
            "filtered_ndcg_at_10_per_user": value[p.PER_USER, "ndcg_at_10"],
        },
        "ranking": {
            **{name: value[p.RATING, name] for name in ("rmse", "mae")},
            **{name: value[p.PREFERENCE, name] for name in ("auc", "binary_accuracy")},
        },
        "two_stage": {
            "ndcg_at_10_before": value[p.BEFORE, "ndcg_at_10"],
            "ndcg_at_10_after": value[p.AFTER, "ndcg_at_10"],
        },
        "index": index,
        "baselines": {
            "popularity": {
                "filtered_top_100_categorical_accuracy": value[p.POPULARITY, "recall_at_100"],
                "filtered_ndcg_at_10": value[p.POPULARITY, "ndcg_at_10"],
                "top_100_categorical_accuracy": value[p.POPULARITY_UNFILTERED, "recall_at_100"],
            }
        },
    }


def report_slices(result: tfma.EvalResult) -> dict[str, dict[str, float]]:
    """The main figures of each slice, by `feature=value`, beside popularity's on the same queries."""
    slices = {}
    for slice_key, by_output in result.slicing_metrics:
        if slice_key:
            value = _values(by_output)
            slices["=".join(slice_key[0])] = {
                "queries": int(value[p.RETRIEVAL, "example_count"]),
                "filtered_top_100_categorical_accuracy": value[p.RETRIEVAL, "recall_at_100"],
                "filtered_ndcg_at_10": value[p.RETRIEVAL, "ndcg_at_10"],
                "popularity_filtered_top_100_categorical_accuracy": value[p.POPULARITY, "recall_at_100"],
                "popularity_filtered_ndcg_at_10": value[p.POPULARITY, "ndcg_at_10"],
                "rmse": value[p.RATING, "rmse"],
            }
    return dict(sorted(slices.items()))


def _values(by_output: dict[str, Any]) -> dict[tuple[str, str], float | None]:
    """Values by output and metric; None where there is none, as JSON has no NaN."""
    found = {
        (output, name): float(value["doubleValue"])
        for output, by_subkey in by_output.items()
        for name, value in by_subkey[""].items()
        if "doubleValue" in value
    }
    return {key: value if math.isfinite(value) else None for key, value in found.items()}


def failures(result: validation_result_pb2.ValidationResult, index: dict[str, Any], limits: Evaluation) -> list[str]:
    """One sentence for each threshold that is not met: metric, value, threshold."""
    reasons = []
    for validation in result.metric_validations_per_slice:
        for failure in validation.failures:
            bound = failure.metric_threshold.value_threshold
            value = failure.metric_value.double_value.value
            key = failure.metric_key
            limit = (
                f"at least {bound.lower_bound.value:g}"
                if bound.HasField("lower_bound")
                else f"at most {bound.upper_bound.value:g}"
            )
            reasons.append(f"{key.output_name}: {key.name} is {value:.4f}, and has to be {limit}")
    if result.missing_slices:
        reasons.append("the eval split has no example to measure")
    recall = next(value for name, value in index.items() if name.startswith("recall_at_"))
    if recall < limits.min_index_recall:
        reasons.append(f"index: recall is {recall:.4f}, and has to be at least {limits.min_index_recall:g}")
    if not result.validation_ok and not reasons:
        reasons.append("TFMA refused the model without naming a metric")
    return reasons
