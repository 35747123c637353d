"""What a model keeps of the delivery that it was trained on. It travels with the pushed version."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
from tfx.types import artifact, artifact_utils

from components.artifacts import read_json
from components.files import ITEMS_SPLIT, PROFILE_FILE, SUMMARY_FILE, TRAIN_SPLIT
from components.statistics import Statistics, read_split
from components.statistics import read as read_statistics

_DIRECTORY = os.path.join("assets.extra", "delivery")
_INTERACTIONS, _ITEMS = "interactions.pb", "items.pb"


class Delivery(NamedTuple):
    """What is kept of a delivery.

    Attributes:
      summary, profile: InteractionGen's.
      interactions, items: statistics of the train examples, and of the items'.
    """

    summary: Mapping[str, Any]
    profile: Mapping[str, Any]
    interactions: Statistics
    items: Statistics


def of_artifacts(inputs: dict[str, list[artifact.Artifact]]) -> Delivery:
    """What is kept of a run's own delivery: inputs are InteractionGen's summary and both StatisticsGens' outputs."""
    summary = artifact_utils.get_single_uri(inputs["summary"])
    return Delivery(
        read_json(summary, SUMMARY_FILE),
        read_json(summary, PROFILE_FILE),
        read_split(artifact_utils.get_single_uri(inputs["statistics"]), TRAIN_SPLIT),
        read_split(artifact_utils.get_single_uri(inputs["item_statistics"]), ITEMS_SPLIT),
    )


def write(delivery: Delivery, model_dir: str) -> None:
    """Puts it into a SavedModel's directory."""
    directory = os.path.join(model_dir, _DIRECTORY)
    tf.io.gfile.makedirs(directory)
    for name, content in (
        (SUMMARY_FILE, json.dumps(delivery.summary, indent=2).encode()),
        (PROFILE_FILE, json.dumps(delivery.profile).encode()),
        (_INTERACTIONS, delivery.interactions.SerializeToString()),
        (_ITEMS, delivery.items.SerializeToString()),
    ):
        with tf.io.gfile.GFile(os.path.join(directory, name), "wb") as file:
            file.write(content)


def read(model_dir: str) -> Delivery | None:
    """What a model has kept; None where an older edition has pushed it."""
    directory = os.path.join(model_dir, _DIRECTORY)
    if not tf.io.gfile.exists(directory):
        return None
    return Delivery(
        read_json(directory, SUMMARY_FILE),
        read_json(directory, PROFILE_FILE),
        *(read_statistics(os.path.join(directory, name)) for name in (_INTERACTIONS, _ITEMS)),
    )
