"""Copies a blessed model to where it is served from, so that a reader sees a whole version or none."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from components.files import BUILD_FILE
from components.push_destination import push


class Executor(base_executor.BaseExecutor):
    """Pushes when both blessings say so; otherwise leaves the destination as it is."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        infra_blessing = artifact_utils.get_single_instance(input_dict["infra_blessing"])
        model_blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
        if not (model_utils.is_model_blessed(model_blessing) and model_utils.is_infra_validated(infra_blessing)):
            pushed.set_int_custom_property("pushed", 0)
            return
        model_dir = path_utils.stamped_model_path(infra_blessing.uri)
        io_utils.copy_dir(model_dir, pushed.uri)  # First, as what was pushed cannot be taken back.
        version, path = push(model_dir, exec_properties["push_destination"])
        pushed.set_int_custom_property("pushed", 1)
        pushed.set_string_custom_property("pushed_destination", path)
        pushed.set_string_custom_property("pushed_version", str(version))
        build = os.path.join(model_dir, BUILD_FILE)
        if fileio.exists(build):
            with fileio.open(build) as file:
                pushed.set_string_custom_property("origin", json.load(file)["origin"])
