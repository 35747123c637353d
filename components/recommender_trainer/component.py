"""Trains one of the models."""

from __future__ import annotations

import importlib
import json
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import path_utils

from components.artifacts import live_model_dir, trained_on
from components.base import Component
from models.errors import UserError
from models.training import Job


class Executor(base_executor.BaseExecutor):
    """Calls the `run` of a model's module with the files of the artifacts."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        """Trains. Raises UserError for a number of epochs that cannot be, and what `run` does."""
        epochs = exec_properties["epochs"]
        if epochs < 0:
            raise UserError(f"epochs: {epochs}: give 0 or more")

        live = input_dict.get("live_model")
        job = Job(
            settings=json.dumps(json.loads(exec_properties["settings"]) | {"epochs": epochs}),
            features=exec_properties["features"],
            **trained_on(input_dict["examples"], input_dict["items"], input_dict["transform_graph"]),
            run_dir=artifact_utils.get_single_uri(output_dict["model_run"]),
            model_dir=path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["model"])),
            split=exec_properties["split"],
            begin_with=(live_model_dir(artifact_utils.get_single_uri(live)) if live else None) or "",
        )
        importlib.import_module(exec_properties["module"]).run(job)


class RecommenderTrainer(Component):
    """Trains and exports a model. TFX's Trainer has no input for the items (tfx #2869).

    Args:
      module: the model's, whose `run` takes a `models.training.Job`.
      features: the FeatureSet of the data, as JSON.
      settings: the model's section, as JSON.
      epochs: in place of those of the section.
      examples: Transform's materialised examples.
      transform_graph: Transform's graph.
      items: ItemGen's examples.
      live_model: LiveModel's, where training goes on from it.
      split: the settings of the split, as JSON, where later trainings are to go on from this one; else "".
      fingerprint: digest of the code.
    """

    EXECUTOR = Executor
    INPUTS = {
        "examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
        "items": standard_artifacts.Examples,
        "live_model": standard_artifacts.Model,
    }
    OPTIONAL = frozenset({"live_model"})
    OUTPUTS = {"model": standard_artifacts.Model, "model_run": standard_artifacts.ModelRun}
    PARAMETERS = {"module": str, "features": str, "settings": str, "epochs": int, "split": str, "fingerprint": str}
