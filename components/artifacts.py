"""Artifact types that TFX has no standard one for."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.io import fileio
from tfx.types import artifact

from components.files import SUMMARY_FILE


class DataSummary(artifact.Artifact):
    """`summary.json`: a data set's span, and counts of its interactions, users, items and rejected rows."""

    TYPE_NAME = "recommender.DataSummary"


def read_summary(uri: str) -> dict[str, Any]:
    """What a `DataSummary` at `uri` says."""
    with fileio.open(os.path.join(uri, SUMMARY_FILE)) as file:
        return json.load(file)
