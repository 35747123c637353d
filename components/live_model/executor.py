"""Copies the live model into an artifact, so that it stays what was compared with."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.files import BUILD_FILE
from components.push_destination import Directory, Store, destination


class Executor(base_executor.BaseExecutor):
    """Leaves `VERSION/` with the live model in the artifact, or nothing."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        output = artifact_utils.get_single_uri(output_dict["model"])
        fileio.makedirs(output)
        version = live_version(exec_properties["push_destination"], exec_properties["origin"])
        if version:
            destination(exec_properties["push_destination"]).copy(int(version), os.path.join(output, version))


def live_version(push_destination: str, origin: str) -> str:
    """The newest version that is there and has another origin, or any where that is ""; "" where there is none."""
    source = destination(push_destination)
    for version in reversed(source.versions()):
        if not origin or _origin(source, version) != origin:
            return str(version)
    return ""


def _origin(source: Directory | Store, version: int) -> str | None:
    build = source.read(version, BUILD_FILE)
    try:
        return json.loads(build)["origin"] if build else None
    except ValueError:  # A truncated file tells nothing.
        return None
