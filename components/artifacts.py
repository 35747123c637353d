"""Artifact types that TFX has no standard ones for, and what artifacts hold."""

from __future__ import annotations

import json
import os
from typing import Any

from tfx.dsl.io import fileio
from tfx.types import artifact, artifact_utils, value_artifact
from tfx.utils import path_utils

from components.files import EVAL_SPLIT, ITEMS_SPLIT, SUMMARY_FILE, TRAIN_SPLIT
from serving.version_names import parse_versions


class DataSummary(artifact.Artifact):
    """`summary.json`: spans, and counts of interactions, users, items and rejected rows; and `profile.json`."""

    TYPE_NAME = "recommender.DataSummary"


class DriftReport(artifact.Artifact):
    """`drift.json`: how far a delivery is from that of the live model, and what of it is worth saying."""

    TYPE_NAME = "recommender.DriftReport"


class Metrics(artifact.Artifact):
    """KFP's own type for figures, its metadata, which its page shows and compares; and `report.json`."""

    TYPE_NAME = "system.Metrics"


class Html(value_artifact.ValueArtifact):
    """KFP's own type for a page, which is a file at the artifact's place."""

    TYPE_NAME = "system.HTML"

    def encode(self, value: str) -> bytes:
        """The page as the file has it."""
        return value.encode()

    def decode(self, serialized_value: bytes) -> str:
        """The page."""
        return serialized_value.decode()


def read_summary(uri: str) -> dict[str, Any]:
    """The summary of a `DataSummary` at `uri`."""
    return read_json(uri, SUMMARY_FILE)


def read_json(uri: str, file: str) -> dict[str, Any]:
    """A file of an artifact at `uri`."""
    with fileio.open(os.path.join(uri, file)) as opened:
        return json.load(opened)


def split_files(artifacts: list[artifact.Artifact], split: str) -> list[str]:
    """Patterns of the files of a split."""
    return [os.path.join(artifact_utils.get_split_uri(artifacts, split), "*")]


def trained_on(
    transformed_examples: list[artifact.Artifact],
    items: list[artifact.Artifact],
    transform_graph: list[artifact.Artifact],
) -> dict[str, Any]:
    """Where a `models.training.Job` finds its data, as its fields."""
    return {
        "transform_graph": artifact_utils.get_single_uri(transform_graph),
        "train_files": split_files(transformed_examples, TRAIN_SPLIT),
        "eval_files": split_files(transformed_examples, EVAL_SPLIT),
        "item_files": split_files(items, ITEMS_SPLIT),
    }


def trained_models(inputs: dict[str, list[artifact.Artifact]]) -> dict[str, str]:
    """Where what the Trainers have exported is, by the model's name."""
    return {
        name: path_utils.serving_model_path(artifact_utils.get_single_uri(inputs[f"{name}_model"]))
        for name in ("retrieval", "ranking")
    }


def live_model_dir(artifact_uri: str) -> str | None:
    """Where the artifact has the model; None where nothing was live."""
    names = fileio.listdir(artifact_uri) if fileio.exists(artifact_uri) else []
    versions = parse_versions([name.rstrip("/") for name in names])  # Some stores list directories with a slash.
    return os.path.join(artifact_uri, versions.popitem()[1]) if versions else None
