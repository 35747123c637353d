"""Goes on with both models, builds the servable again, and compares it with the one before."""

from __future__ import annotations

import importlib
import json
import os
import tempfile
from typing import Any

from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.artifacts import trained_models, trained_on
from components.evaluator.settings import Evaluation
from components.files import BEFORE_REFIT, REFIT_FILE
from components.recommender_builder.servable import write_servable
from components.refitter.guard import compare
from models import warm_start
from models.training import Job


class Executor(base_executor.BaseExecutor):
    """Writes the servable that is to be pushed, and `refit.json`."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        output = artifact_utils.get_single_uri(output_dict["model"])
        report: dict[str, Any] = {"because": ["the Evaluator refused the model"]}
        if model_utils.is_model_blessed(artifact_utils.get_single_instance(input_dict["model_blessing"])):
            before = path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["blessed_model"]))
            with tempfile.TemporaryDirectory() as scratch:  # The artifacts may be in an object store.
                trained = _refitted(input_dict, exec_properties, scratch)
                model_dir = os.path.join(scratch, "servable")
                write_servable(input_dict, exec_properties, trained, model_dir)
                limits = Evaluation.model_validate_json(exec_properties["limits"])
                report = compare(input_dict, exec_properties["features"], trained, before, model_dir, limits)
                if not report["because"]:
                    _keep_before(input_dict, before, model_dir)
                source = before if report["because"] else model_dir
                io_utils.copy_dir(source, path_utils.serving_model_dir(output))
        report["refitted"] = not report["because"]
        io_utils.write_string_file(os.path.join(output, REFIT_FILE), json.dumps(report, indent=2))


def _refitted(input_dict: dict, exec_properties: dict[str, Any], scratch: str) -> dict[str, str]:
    """Where the models are that have learnt from the eval rows, by name."""
    data = trained_on(input_dict["transformed_examples"], input_dict["items"], input_dict["transform_graph"])
    found = {}
    for name, trained in trained_models(input_dict).items():
        found[name] = os.path.join(scratch, name)
        job = Job(
            settings=exec_properties[name],
            features=exec_properties["features"],
            **data,
            run_dir=os.path.join(scratch, f"{name}-run"),
            model_dir=found[name],
            split=exec_properties["split"],
            begin_with=trained,
        )
        importlib.import_module(f"models.{name}").refit(job)
    return found


def _keep_before(input_dict: dict, before: str, model_dir: str) -> None:
    """Puts the model that has not seen the eval rows beside: later models are compared with it, and go on from it."""
    io_utils.copy_dir(before, os.path.join(model_dir, BEFORE_REFIT))
    io_utils.delete_dir(os.path.join(model_dir, BEFORE_REFIT, "assets.extra"))
    warm_start.take_along(trained_models(input_dict), model_dir)
