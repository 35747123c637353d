"""What the eval queries are divided by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
import tensorflow_transform as tft
from tensorflow_model_analysis.extractors import slice_key_extractor

from components.evaluator import outputs as o
from components.evaluator.ranks import POPULARITY_LEVELS
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.features.kinds import Feature

_STAGE = slice_key_extractor.SLICE_KEY_EXTRACTOR_STAGE_NAME  # TFMA's metrics come after a stage of this name.
_SHORT_HISTORY = 10
# All but those by the features to slice by.
KNOWN = ["user=warm", "user=cold", "history=none", "history=short", "history=long"]
KNOWN += [f"item={level}" for level in POPULARITY_LEVELS]
_MOST_VALUES = 50  # Of a feature that queries are divided by.


class Sliced(NamedTuple):
    """A feature to slice by, and its values in the vocabulary; None for a number, which has bands."""

    feature: Feature
    values: frozenset[str] | None


def sliced_features(features: FeatureSet, transform: tft.TFTransformOutput) -> dict[str, Sliced]:
    """The features that have few enough values."""
    sliced = {}
    for name, feature in features.sliced().items():
        if feature.kind == "number":
            sliced[name] = Sliced(feature, None)
        elif transform.vocabulary_size_by_name(name) <= _MOST_VALUES:
            values = frozenset(value.decode() for value in transform.vocabulary_by_name(name))
            sliced[name] = Sliced(feature, values)
    return sliced


def of_example(
    example: tf.train.Example, warm: bool, popularity_level: str, features: Mapping[str, Sliced]
) -> list[str]:
    """The slices of a query, as `feature=value`: its user, its history, its item, and the features to slice by."""
    length = len(example.features.feature[f.HISTORY_TIMESTAMP].int64_list.value)
    history = "none" if not length else "short" if length < _SHORT_HISTORY else "long"
    names = [f"user={'warm' if warm else 'cold'}", f"history={history}", f"item={popularity_level}"]
    for name, (feature, known) in features.items():
        raw = example.features.feature[name]
        values = getattr(raw, raw.WhichOneof("kind")).value if raw.WhichOneof("kind") else []
        names += [f"{name}={value}" for value in feature.slices(values) if known is None or value in known]
    return names


def by_slice() -> tfma.extractors.Extractor:
    """Divides extracts of many queries into one for each slice they are in, and one for all."""
    return tfma.extractors.Extractor(_STAGE, ptransform=beam.FlatMap(_divide))


def _divide(extracts: dict[str, Any]) -> list[dict[str, Any]]:
    rows = defaultdict(list)
    for number, names in enumerate(extracts[o.SLICES]):
        for name in dict.fromkeys(names):
            rows[name].append(number)
    keys = {(tuple(name.split("=", 1)),): np.array(numbers) for name, numbers in rows.items()}
    return [
        {
            kind: {name: values[numbers] for name, values in extracts[kind].items()}
            for kind in (tfma.PREDICTIONS_KEY, tfma.LABELS_KEY)
        }
        | {tfma.SLICE_KEY_TYPES_KEY: [key]}
        for key, numbers in {(): np.arange(len(extracts[o.SLICES])), **keys}.items()
    ]
