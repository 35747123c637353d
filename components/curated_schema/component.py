"""The curated schema as an artifact. Unlike TFX's ImportSchemaGen it needs no file that every step can reach."""

from __future__ import annotations

import os
from typing import Any

from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils

from components.base import Component


class Executor(base_executor.BaseExecutor):
    """Writes the schema."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        path = os.path.join(artifact_utils.get_single_uri(output_dict["schema"]), DEFAULT_FILE_NAME)
        io_utils.write_string_file(path, exec_properties["text"])


class CuratedSchema(Component):
    """Hands on a schema.

    Args:
      text: the schema, as a text proto.
    """

    EXECUTOR = Executor
    OUTPUTS = {"schema": standard_artifacts.Schema}
    PARAMETERS = {"text": str}
