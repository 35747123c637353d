"""Stops a run whose delivery is not like the one that the live model was trained on."""

from __future__ import annotations

import json
import os
from typing import Any

import tensorflow as tf
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils

from components.artifacts import live_model_dir
from components.drift_validator import kept
from components.drift_validator.distances import Distance, distances
from components.drift_validator.settings import Drift
from components.files import DRIFT_FILE
from models.errors import UserError

WARN, STOP = "warn", "stop"
_SHOWN_VALUES = 20  # Of a distribution, those that differ most.


class Executor(base_executor.BaseExecutor):
    """Writes what was found; fails where something has to stop the run."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        """Compares. Raises UserError that names each figure which is too far away."""
        settings = Drift.model_validate_json(exec_properties["settings"])
        live = live_model_dir(artifact_utils.get_single_uri(input_dict["live_model"]))
        was = kept.read(live) if live else None
        measured = distances(kept.of_artifacts(input_dict), was) if was else []
        findings = [(one, level) for one in measured if (level := level_of(one, settings))]
        directory = artifact_utils.get_single_uri(output_dict["drift"])
        tf.io.gfile.makedirs(directory)
        report = {
            "against": os.path.basename(live) if live and was else None,
            "distances": {f"{one.kind}.{one.name}": one.value for one in measured},
            "findings": [_finding(one, level) for one, level in findings],
        }
        with tf.io.gfile.GFile(os.path.join(directory, DRIFT_FILE), "w") as file:
            file.write(json.dumps(report, indent=2))
        if stops := [one for one, level in findings if level == STOP]:
            listed = "; ".join(f"{one} (drift.limits.{one.kind}.{one.name})" for one in stops)
            raise UserError(
                f"the data is not like that of the live model, version {report['against']}, which goes on serving: "
                f"{listed}. Correct the delivery. If it is right: --set drift.stops=false for this run, or other limits"
            )


def level_of(distance: Distance, settings: Drift) -> str | None:
    """What a distance means: WARN, STOP, or nothing."""
    limit = settings.limit(distance.kind, distance.name)
    if limit.stop is not None and distance.value >= limit.stop:
        return STOP if settings.stops else WARN
    return WARN if limit.warn is not None and distance.value >= limit.warn else None


def _finding(distance: Distance, level: str) -> dict[str, Any]:
    found = {"level": level, "text": str(distance)} | distance._asdict()
    if distance.distribution:
        moved = {name: abs(now - was) for name, (now, was) in distance.distribution.items()}
        shown = set(sorted(moved, key=moved.__getitem__, reverse=True)[:_SHOWN_VALUES])
        found["distribution"] = {name: shares for name, shares in distance.distribution.items() if name in shown}
    return found
