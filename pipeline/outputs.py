"""What the components of the runs into a directory have left there, as MLMD knows it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import UserError
from pipeline.steps import Step

PIPELINE_NAME = "recommender"
_LOCK_FILE = ".lock"


def connection(output: str) -> Any:
    """How MLMD finds the database of an output directory."""
    from tfx.orchestration import metadata

    return metadata.sqlite_metadata_connection_config(os.path.join(output, "metadata.db"))


def serving_dir(output: str) -> str:
    """Where runs into a directory push their versions."""
    return os.path.join(output, "serving_models", "recommender")


@contextlib.contextmanager
def locked(output: str) -> Iterator[None]:
    """Holds an output directory, which the system lets go of when the process ends in whatever way.

    Raises:
      UserError: another process holds it.
    """
    with open(os.path.join(output, _LOCK_FILE), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another run is writing to {output}: wait for it, or give another --output") from None
        yield


class Outputs:
    """The newest outputs of the pipeline's components.

    Args:
      connection_config: as `connection` makes it.
    """

    def __init__(self, connection_config: Any):
        self._connection_config = connection_config

    def artifact(self, step: Step, key: str) -> Any:
        """The artifact that a component's newest successful execution, cached or not, has at `key`."""
        from tfx.orchestration import metadata
        from tfx.orchestration.portable.mlmd import execution_lib

        with metadata.Metadata(self._connection_config) as handle:
            node: Any = handle.store.get_context_by_type_and_name("node", f"{PIPELINE_NAME}.{step}")
            executions = handle.store.get_executions_by_context(node.id)
            successful = filter(execution_lib.is_execution_successful, executions)
            newest = max(successful, key=lambda execution: execution.id)
            return execution_lib.get_output_artifacts(handle, newest.id)[key][0]

    def json(self, step: Step, key: str, file: str) -> dict[str, Any]:
        """A JSON file inside that artifact."""
        return json.loads((Path(self.artifact(step, key).uri) / file).read_text(encoding="utf-8"))


def latest_artifact_uri(output: str, step: Step, key: str) -> str:
    """Where the newest run into `output` has a component's artifact."""
    return Outputs(connection(output)).artifact(step, key).uri


def lost_versions(connection_config: Any, serving_dir: str, origin: str) -> str:
    """Versions that were pushed into the directory from the same data, configuration and code, and are gone."""
    from tfx.orchestration import metadata

    from components.push_destination import destination

    with metadata.Metadata(connection_config) as handle:
        artifacts = handle.store.get_artifacts_by_type("PushedModel")
    properties = [artifact.custom_properties for artifact in artifacts]
    pushed = {one["pushed_version"].string_value for one in properties if one["origin"].string_value == origin}
    return ",".join(sorted(pushed - {"", *map(str, destination(serving_dir).versions())}))
