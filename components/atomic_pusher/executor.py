"""Copies a blessed model to where it is served from, so that a reader sees a whole version or none."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

from tfx.components.util import model_utils
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

_SCRATCH_PREFIX = ".incoming-"  # No integer, so model servers pass it over.


class Executor(base_executor.BaseExecutor):
    """Pushes when both blessings say so; otherwise leaves the destination as it is."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        canary = artifact_utils.get_single_instance(input_dict["infra_blessing"])
        model_blessing = artifact_utils.get_single_instance(input_dict["model_blessing"])
        if not (model_utils.is_model_blessed(model_blessing) and model_utils.is_infra_validated(canary)):
            pushed.set_int_custom_property("pushed", 0)
            return
        destination = push(path_utils.stamped_model_path(canary.uri), exec_properties["push_destination"])
        io_utils.copy_dir(destination, pushed.uri)
        pushed.set_int_custom_property("pushed", 1)
        pushed.set_string_custom_property("pushed_destination", destination)
        pushed.set_string_custom_property("pushed_version", os.path.basename(destination))


def push(model_dir: str, base_path: str) -> str:
    """Copies a SavedModel to a new version below `base_path`; returns the version's directory.

    The version is the time in seconds, or one more than the highest that is there. The copy is made under a name that
    servers ignore and then renamed, which is atomic within a file system. Left-overs of a killed push are removed.
    """
    os.makedirs(base_path, exist_ok=True)
    for name in os.listdir(base_path):
        if name.startswith(_SCRATCH_PREFIX):
            shutil.rmtree(os.path.join(base_path, name))
    version = max([int(time.time()), *(int(name) + 1 for name in os.listdir(base_path) if name.isdigit())])
    scratch = os.path.join(base_path, f"{_SCRATCH_PREFIX}{version}")
    destination = os.path.join(base_path, str(version))
    shutil.copytree(model_dir, scratch)
    os.rename(scratch, destination)
    return destination
