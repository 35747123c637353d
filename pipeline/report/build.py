"""report.json, from what the components have left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.files import DRIFT_FILE, EVALUATION_FILE, INFRA_VALIDATION_FILE, REFIT_FILE
from models.files import VALIDATION_FILE
from pipeline.config import Config
from pipeline.outputs import Outputs
from pipeline.steps import TRAINERS, Step

_COUNTS = ("interactions", "users", "items", "rejected_rows", "duplicate_rows")


def build_report(config: Config, outputs: Outputs, serving_dir: str) -> dict[str, Any]:
    """What a run came to.

    Args:
      config: the run's configuration.
      outputs: the run's.
      serving_dir: where models are pushed to.
    """
    from components.artifacts import read_summary
    from components.tables.records import Cause
    from pipeline.report.data_summary import summarise

    summary = read_summary(outputs.artifact(Step.INTERACTION_GEN, "summary").uri)
    evaluation = outputs.json(Step.EVALUATOR, "evaluation", EVALUATION_FILE)
    served = outputs.json(Step.INFRA_VALIDATOR, "blessing", INFRA_VALIDATION_FILE)
    unreadable = sorted(summary["unreadable"].items())
    reasons = [*evaluation["not_blessed_because"], *(f"served: {reason}" for reason in served["refused_because"])]
    pushed = outputs.artifact(Step.PUSHER, "pushed_model").get_string_custom_property("pushed_version")
    trained = {step: outputs.json(step, "model_run", VALIDATION_FILE) for step in TRAINERS}
    refit = outputs.json(Step.REFITTER, "model", REFIT_FILE) if config.refit else None
    return {
        "dataset": {
            "name": config.name,
            **{name: summary[name] for name in _COUNTS},
            "times": summary["times"],
            "tables": summary["tables"],
            "causes": [str(Cause(**cause)) for cause in summary["causes"]],
            "generated": config.data.generated is not None,
        },
        "window": {"spans": summary["spans"], "missing": summary["missing_spans"]},
        "split": config.split.kind,
        "metrics": evaluation["metrics"] | {"serving": {"milliseconds": served.get("milliseconds")}},
        "warm_start": {step.removeprefix("Trainer."): one["warm_start"] for step, one in trained.items()},
        "training": {step.removeprefix("Trainer."): validation["losses"] for step, validation in trained.items()},
        "refit": refit,
        "training_seconds": round(sum(one["train_seconds"] for one in trained.values()), 1),
        "data": summarise(
            outputs.artifact(Step.STATISTICS_GEN, "statistics").uri,
            outputs.artifact(Step.EXAMPLE_VALIDATOR, "anomalies").uri,
            outputs.artifact(Step.ITEM_STATISTICS_GEN, "statistics").uri,
            summary["train"],
        ),
        "drift": outputs.json(Step.DRIFT_VALIDATOR, "drift", DRIFT_FILE),
        "samples": evaluation["samples"],
        "notes": [
            *(f"a span seems to be missing {where}" for where in summary["missing_spans"]),
            *_of_tables(summary),
            *(f"{what}: {rows:,} rows do not count and were left out" for what, rows in summary["left_out"].items()),
            *(f"{name}: {rows:,} values could not be read and count as missing" for name, rows in unreadable),
            *(
                f"{step}: cold start: {one['warm_start']['because']}"
                for step, one in trained.items()
                if config.warm_start and not one["warm_start"]["warm"]
            ),
            *(f"not refitted: {reason}" for reason in (refit["because"] if refit and not reasons else [])),
            *evaluation["notes"],
        ],
        "blessed": not reasons,
        "not_blessed_because": reasons,
        "pushed_version": None if reasons else pushed,
        "serving_model_dir": serving_dir,
    }


def _of_tables(summary: dict[str, Any]) -> Iterator[str]:
    """What is worth saying of joins and titles."""
    users = summary["users"]
    if "users" in summary["tables"] and summary["known_users"] < users:
        yield f"{users - summary['known_users']:,} of {users:,} users are not in the users' table"
    if summary["present"].get("items.title") == 0:
        yield "items.title: no item has one"
