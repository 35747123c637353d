"""TFX's Trainer with one more input: the items."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.components.trainer import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import trainer_pb2
from tfx.types import (
    BaseChannel,
    artifact_utils,
    channel,
    component_spec,
    standard_artifacts,
    standard_component_specs,
)
from tfx.utils import json_utils

from components.base import IntParameter
from components.files import ITEMS_SPLIT
from models.errors import UserError
from models.files import ITEM_FILES


class RecommenderTrainerSpec(standard_component_specs.TrainerSpec):
    PARAMETERS = standard_component_specs.TrainerSpec.PARAMETERS | {
        "epochs": component_spec.ExecutionParameter(type=int),
    }
    INPUTS = standard_component_specs.TrainerSpec.INPUTS | {
        "items": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }


class Executor(executor.GenericExecutor):
    """Hands the items' files and the epochs to run_fn, in custom_config."""

    def _GetFnArgs(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]):
        fn_args = super()._GetFnArgs(input_dict, output_dict, exec_properties)
        uri = artifact_utils.get_split_uri(input_dict["items"], ITEMS_SPLIT)
        if exec_properties["epochs"] < 0:
            raise UserError(f"epochs: {exec_properties['epochs']} is less than 0")
        model = json.loads(fn_args.custom_config["model"]) | {"epochs": exec_properties["epochs"]}
        fn_args.custom_config = fn_args.custom_config | {
            "model": json.dumps(model),
            ITEM_FILES: [os.path.join(uri, "*")],
        }
        return fn_args


class RecommenderTrainer(base_component.BaseComponent):
    """Trains a model with a `run_fn` that also needs the candidates.

    Args:
      run_fn: dotted path of the function.
      examples: Transform's materialised examples.
      transform_graph: Transform's graph.
      items: ItemGen's examples.
      custom_config: passed on to run_fn; `model` is the model's section, as JSON.
      epochs: in place of those of the section.
    """

    SPEC_CLASS = RecommenderTrainerSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        run_fn: str,
        examples: BaseChannel,
        transform_graph: BaseChannel,
        items: BaseChannel,
        custom_config: dict[str, Any],
        epochs: IntParameter,
    ):
        super().__init__(
            RecommenderTrainerSpec(
                run_fn=run_fn,
                examples=examples,
                transform_graph=transform_graph,
                items=items,
                custom_config=json_utils.dumps(custom_config),
                epochs=epochs,
                train_args=trainer_pb2.TrainArgs(),
                eval_args=trainer_pb2.EvalArgs(),
                model=channel.Channel(type=standard_artifacts.Model),
                model_run=channel.Channel(type=standard_artifacts.ModelRun),
            )
        )
