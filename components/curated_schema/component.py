"""The curated schema as an artifact. Unlike TFX's ImportSchemaGen it needs no file that every step can reach."""

from __future__ import annotations

import os
from typing import Any

from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, component_spec, standard_artifacts
from tfx.utils import io_utils


class CuratedSchemaSpec(component_spec.ComponentSpec):
    PARAMETERS = {"text": component_spec.ExecutionParameter(type=str)}
    INPUTS = {}
    OUTPUTS = {"schema": component_spec.ChannelParameter(type=standard_artifacts.Schema)}


class Executor(base_executor.BaseExecutor):
    """Writes the schema."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        path = os.path.join(artifact_utils.get_single_uri(output_dict["schema"]), DEFAULT_FILE_NAME)
        io_utils.write_string_file(path, exec_properties["text"])


class CuratedSchema(base_component.BaseComponent):
    """Hands on a schema.

    Args:
      text: the schema, as a text proto.
    """

    SPEC_CLASS = CuratedSchemaSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, text: str):
        super().__init__(CuratedSchemaSpec(text=text, schema=channel.Channel(type=standard_artifacts.Schema)))
