"""Measures the servable on the eval split and blesses or refuses it."""

from __future__ import annotations

import json
import os
from typing import Any

import tensorflow_model_analysis as tfma
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.catalogue_gen.executor import SPLIT as CATALOGUE_SPLIT
from components.evaluation import predictions
from components.evaluation.verdict import build_eval_config, failures, report_metrics, report_slices
from components.recommender_builder.executor import INDEX_FILE
from pipeline.config import Evaluation
from pipeline.training import VALIDATION_FILE

REPORT_FILE = "evaluation.json"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Runs TFMA over the servable's signatures; writes TFMA's results, `evaluation.json` and the blessing."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        limits = Evaluation.model_validate_json(exec_properties["limits"])
        model = artifact_utils.get_single_instance(input_dict["model"])
        model_dir = path_utils.serving_model_path(model.uri)
        output = artifact_utils.get_single_uri(output_dict["evaluation"])
        eval_config = build_eval_config(limits)
        source = predictions.Predictions(
            model_dir,
            artifact_utils.get_split_uri(input_dict["examples"], "train"),
            artifact_utils.get_split_uri(input_dict["examples"], "eval"),
            artifact_utils.get_split_uri(input_dict["catalogue"], CATALOGUE_SPLIT),
            exec_properties["preference_threshold"],
        )
        with self._make_beam_pipeline() as pipeline:
            (
                pipeline
                | "Predictions" >> source
                | "Evaluate"
                >> tfma.ExtractEvaluateAndWriteResults(
                    eval_config=eval_config,
                    extractors=[tfma.extractors.SliceKeyExtractor(eval_config=eval_config)],
                    output_path=output,
                )
            )

        index = json.loads(io_utils.read_string_file(os.path.join(model_dir, INDEX_FILE)))
        run_uri = artifact_utils.get_single_uri(input_dict["retrieval_run"])
        validation = json.loads(io_utils.read_string_file(os.path.join(run_uri, VALIDATION_FILE)))
        unfiltered = {name: value for name, value in validation.items() if name.startswith("top_")}
        result = tfma.load_eval_result(output)
        report = {
            "metrics": report_metrics(result, unfiltered, index) | {"slices": report_slices(result)},
            "not_blessed_because": failures(tfma.load_validation_result(output), index, limits),
        }
        io_utils.write_string_file(os.path.join(output, REPORT_FILE), json.dumps(report, indent=2))
        _bless(artifact_utils.get_single_instance(output_dict["blessing"]), model, not report["not_blessed_because"])


def _bless(blessing, model, blessed: bool) -> None:
    """Marks the model as TFX's own Evaluator does, so that every pusher understands it."""
    name = "BLESSED" if blessed else "NOT_BLESSED"
    io_utils.write_string_file(os.path.join(blessing.uri, name), "")
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    blessing.set_int_custom_property("blessed", int(blessed))
