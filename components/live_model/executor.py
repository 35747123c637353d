"""Copies the live model into an artifact, so that it stays what was compared with."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.recommender_builder.executor import BUILD_FILE


class Executor(base_executor.BaseExecutor):
    """Leaves `VERSION/` with the live model in the artifact, or nothing."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        output = artifact_utils.get_single_uri(output_dict["model"])
        fileio.makedirs(output)
        version = live_version(exec_properties["push_destination"], exec_properties["origin"])
        if version:
            source = os.path.join(exec_properties["push_destination"], version)
            io_utils.copy_dir(source, os.path.join(output, version))


def live_version(push_destination: str, origin: str) -> str:
    """The newest version that is there and has another origin, or any where that is ""; "" where there is none."""
    names = fileio.listdir(push_destination) if fileio.exists(push_destination) else []
    for name in sorted(filter(str.isdigit, names), key=int, reverse=True):
        if not origin or _origin(os.path.join(push_destination, name)) != origin:
            return name
    return ""


def live_model_dir(artifact_uri: str) -> str | None:
    """Where the artifact has the model; None where nothing was live."""
    names = fileio.listdir(artifact_uri) if fileio.exists(artifact_uri) else []
    return next((os.path.join(artifact_uri, name) for name in names if name.isdigit()), None)


def _origin(model_dir: str) -> str | None:
    path = os.path.join(model_dir, BUILD_FILE)
    return json.loads(io_utils.read_string_file(path))["origin"] if fileio.exists(path) else None
