"""`recommender clean`: removes what no later run into an output directory needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from components.push_destination import destination
from models.errors import UserError
from pipeline.outputs import PIPELINE_NAME, connection, locked, serving_dir
from pipeline.steps import Step

_ALWAYS_KEPT = 2  # Versions: the live one, and the one before, with which its run, run again, is compared.
_BY_AGE = ("logs", "rejected_rows")  # Directories with a file or so for each run.


class Removal(NamedTuple):
    """Something that goes.

    Attributes:
      what: artifact, version, log or list, in words.
      path: where it is.
      size: in bytes; None where that is not known.
    """

    what: str
    path: str
    size: int | None


def clean(output: str, keep: int, push_destination: str | None, dry_run: bool, console: Console) -> list[Removal]:
    """Removes all but what the newest complete runs, and those since, have made, and the newest versions.

    The two newest versions, of which one is live, always stay, and so does every artifact that a run that is kept has
    made or has taken from the cache: running it again finds all of it. In MLMD the others are marked deleted.

    Args:
      output: the runs' directory.
      keep: how many complete runs, and how many versions, are kept.
      push_destination: where the versions are; None: the directory's own.
      dry_run: only says what would go.
      console: for what goes.

    Returns:
      What was removed.

    Raises:
      UserError: there has been no run, or one is under way.
    """
    if not os.path.exists(os.path.join(output, "metadata.db")):
        raise UserError(f"--output {output}: no run has been there")
    with locked(output):
        artifacts = _artifacts(output, keep)
        removals = [*artifacts.values(), *_files(output, keep)]
        versions = destination(push_destination or serving_dir(output))
        old = versions.versions()[: -max(keep, _ALWAYS_KEPT)]
        of_versions = [Removal("version", versions.place(version), None) for version in old]
        for one in (*removals, *of_versions):
            size = "" if one.size is None else f", {one.size / 1e6:,.1f} MB"
            console.print(f"{one.what} {one.path}{size}", soft_wrap=True, highlight=False)
        if not dry_run:
            _mark_deleted(output, list(artifacts))  # First: what is marked and still there does no harm.
            for one in removals:
                shutil.rmtree(one.path) if os.path.isdir(one.path) else os.remove(one.path)
            for version in old:
                versions.remove(version)
        total = sum(one.size or 0 for one in removals)
        console.print(
            f"{'Would remove' if dry_run else 'Removed'} {len(removals)} artifacts and files, {total / 1e6:,.1f} MB, "
            f"and {len(old)} versions"
        )
    return [*removals, *of_versions]


def _artifacts(output: str, keep: int) -> dict[int, Removal]:
    """By MLMD's id, artifacts of earlier runs that no run that is kept uses."""
    from ml_metadata.proto import metadata_store_pb2 as mlmd
    from tfx.orchestration import metadata
    from tfx.orchestration.portable.mlmd.execution_lib import is_execution_successful

    with metadata.Metadata(connection(output)) as handle:
        store: Any = handle.store
        runs = sorted(store.get_contexts_by_type("pipeline_run"), key=lambda run: run.id)
        of_runs = [store.get_executions_by_context(run.id) for run in runs]
        last_step = store.get_context_by_type_and_name("node", f"{PIPELINE_NAME}.{Step.PUSHER}")
        ends = store.get_executions_by_context(last_step.id) if last_step else []
        ended = {one.id for one in ends if is_execution_successful(one)}
        complete = [place for place, of_run in enumerate(of_runs) if ended & {one.id for one in of_run}]
        if len(complete) <= keep:
            return {}
        kept_runs = of_runs[complete[-keep] :]
        events = store.get_events_by_execution_ids([one.id for executions in kept_runs for one in executions])
        kept = {event.artifact_id for event in events}
        root = os.path.join(output, "pipeline")
        return {
            artifact.id: Removal("artifact", place, _size(place))
            for artifact in store.get_artifacts()
            if artifact.id not in kept
            and artifact.state != mlmd.Artifact.DELETED
            and artifact.uri.startswith(f"{root}{os.sep}")
            and os.path.isdir(place := _place(artifact.uri))
        }


def _place(uri: str) -> str:
    """An artifact's directory: that around it, where it is a file."""
    return os.path.dirname(uri) if os.path.isfile(uri) else uri


def _mark_deleted(output: str, ids: list[int]) -> None:
    from ml_metadata.proto import metadata_store_pb2 as mlmd
    from tfx.orchestration import metadata

    with metadata.Metadata(connection(output)) as handle:
        artifacts = handle.store.get_artifacts_by_id(ids)
        for artifact in artifacts:
            artifact.state = mlmd.Artifact.DELETED
        handle.store.put_artifacts(artifacts)


def _files(output: str, keep: int) -> Iterator[Removal]:
    """Logs, and lists of rejected rows, but for the newest."""
    for name in _BY_AGE:
        files = sorted((path for path in Path(output, name).glob("*") if path.is_file()), key=os.path.getmtime)
        for path in files[:-keep]:
            yield Removal("file", str(path), path.stat().st_size)


def _size(directory: str) -> int:
    return sum(path.stat().st_size for path in Path(directory).rglob("*") if path.is_file())
