"""report.json, from what the components have left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfx.types import artifact_utils

from components.artifacts import read_json, read_summary
from components.files import DRIFT_FILE, EVALUATION_FILE, INFRA_VALIDATION_FILE, REFIT_FILE
from components.reporter.data_summary import summarise
from components.tables.causes import Cause
from models.files import VALIDATION_FILE

_COUNTS = ("interactions", "users", "items", "rejected_rows", "duplicate_rows")
_TRAINED = ("retrieval", "ranking")


def build_report(artifacts: dict, properties: dict[str, Any]) -> dict[str, Any]:
    """What a run came to.

    Args:
      artifacts: inputs of the Reporter, by key.
      properties: its parameters.
    """
    uris = {key: artifact_utils.get_single_uri(of_key) for key, of_key in artifacts.items() if of_key}
    summary = read_summary(uris["summary"])
    evaluation = read_json(uris["evaluation"], EVALUATION_FILE)
    served = read_json(uris["infra_blessing"], INFRA_VALIDATION_FILE)
    unreadable = sorted(summary["unreadable"].items())
    reasons = [*evaluation["not_blessed_because"], *(f"served: {reason}" for reason in served["refused_because"])]
    pushed = artifact_utils.get_single_instance(artifacts["pushed_model"]).get_string_custom_property("pushed_version")
    trained = {name: read_json(uris[f"{name}_run"], VALIDATION_FILE) for name in _TRAINED}
    refit = read_json(uris["refitted_model"], REFIT_FILE) if "refitted_model" in uris else None
    return {
        "dataset": {
            "name": properties["name"],
            **{name: summary[name] for name in _COUNTS},
            "times": summary["times"],
            "tables": summary["tables"],
            "causes": [str(Cause(**cause)) for cause in summary["causes"]],
            "generated": bool(properties["generated"]),
        },
        "window": {"spans": summary["spans"], "missing": summary["missing_spans"]},
        "split": properties["split"],
        "metrics": evaluation["metrics"] | {"serving": {"milliseconds": served.get("milliseconds")}},
        "warm_start": {name: one["warm_start"] for name, one in trained.items()},
        "training": {name: validation["losses"] for name, validation in trained.items()},
        "refit": refit,
        "training_seconds": round(sum(one["train_seconds"] for one in trained.values()), 1),
        "data": summarise(uris["statistics"], uris["anomalies"], uris["item_statistics"], summary["train"]),
        "drift": read_json(uris["drift"], DRIFT_FILE),
        "samples": evaluation["samples"],
        "notes": [
            *(f"a span seems to be missing {where}" for where in summary["missing_spans"]),
            *_of_tables(summary),
            *_left_out(summary["left_out"]),
            *(f"{name}: {rows:,} values could not be read and count as missing" for name, rows in unreadable),
            *(
                f"Trainer.{name}: cold start: {one['warm_start']['because']}"
                for name, one in trained.items()
                if properties["warm_start"] and not one["warm_start"]["warm"]
            ),
            *(f"not refitted: {reason}" for reason in (refit["because"] if refit and not reasons else [])),
            *evaluation["notes"],
        ],
        "blessed": not reasons,
        "not_blessed_because": reasons,
        "pushed_version": None if reasons else pushed,
        "serving_model_dir": properties["push_destination"],
    }


def _left_out(rows: Mapping[str, int]) -> Iterator[str]:
    """What does not count, by reason; `rows` has the numbers by table and reason, as `items.no user_id`."""
    of_reason: dict[str, list[str]] = {}
    for what, number in rows.items():
        table, _, reason = what.partition(".")
        of_reason.setdefault(reason, []).append(f"{number:,} rows of {table}")
    for reason, tables in of_reason.items():
        yield f"{reason}: {', '.join(tables)} do not count and were left out"


def _of_tables(summary: dict[str, Any]) -> Iterator[str]:
    """What is worth saying of joins and titles."""
    users = summary["users"]
    if "users" in summary["tables"] and summary["known_users"] < users:
        yield f"{users - summary['known_users']:,} of {users:,} users are not in the users' table"
    if summary["present"].get("items.title") == 0:
        yield "items.title: no item has one"
