"""An artifact type that TFX has no standard one for, and what artifacts hold."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.io import fileio
from tfx.types import artifact, artifact_utils

from components.files import SUMMARY_FILE
from serving.version_names import parse_versions


class DataSummary(artifact.Artifact):
    """`summary.json`: a data set's span, and counts of its interactions, users, items and rejected rows."""

    TYPE_NAME = "recommender.DataSummary"


def read_summary(uri: str) -> dict[str, Any]:
    """What a `DataSummary` at `uri` says."""
    with fileio.open(os.path.join(uri, SUMMARY_FILE)) as file:
        return json.load(file)


def split_files(artifacts: list[artifact.Artifact], split: str) -> list[str]:
    """Patterns of the files of a split."""
    return [os.path.join(artifact_utils.get_split_uri(artifacts, split), "*")]


def live_model_dir(artifact_uri: str) -> str | None:
    """Where the artifact has the model; None where nothing was live."""
    names = fileio.listdir(artifact_uri) if fileio.exists(artifact_uri) else []
    versions = parse_versions([name.rstrip("/") for name in names])  # Some stores list directories with a slash.
    return os.path.join(artifact_uri, versions.popitem()[1]) if versions else None
