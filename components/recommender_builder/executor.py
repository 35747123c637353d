"""What the component does: a servable from what the Trainers have exported."""

from __future__ import annotations

from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components.artifacts import trained_models
from components.recommender_builder.servable import write_servable
from models import warm_start


class Executor(base_executor.BaseExecutor):
    """Writes the servable, with what a later training may begin with."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        trained = trained_models(input_dict)
        model_dir = path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict["model"]))
        write_servable(input_dict, exec_properties, trained, model_dir)
        warm_start.take_along(trained, model_dir)
