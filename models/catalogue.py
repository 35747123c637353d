"""The candidates as arrays: raw ids and titles, and model features."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import inputs
from models.features import names as f
from models.features.feature_set import FeatureSet


@dataclass(frozen=True)
class Catalogue:
    """The n candidates, ordered by id.

    Attributes:
      ids: [n] bytes.
      titles: [n] bytes.
      features: model features of the candidate side, [n] or [n, L].
    """

    ids: np.ndarray
    titles: np.ndarray
    features: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)


def load_catalogue(files: Collection[str], features: FeatureSet, transform: tft.TFTransformOutput) -> Catalogue:
    """Reads ItemGen's examples and applies Transform's graph to them."""
    raw = _parse(inputs.read_records(files), features)
    ids = raw[f.ITEM_ID].numpy()
    order = np.array(sorted(range(len(ids)), key=lambda row: _natural(ids[row])))
    transformed = model_features(raw, transform)
    titles = raw[f.TITLE].numpy() if f.TITLE in raw else ids
    return Catalogue(
        ids=ids[order],
        titles=titles[order],
        features={name: transformed[name].numpy()[order] for name in features.candidate_names()},
    )


def unknown_item(features: FeatureSet, transform: tft.TFTransformOutput) -> inputs.Batch:
    """Model features, [1] or [1, L], of an item that is not in the catalogue."""
    transformed = model_features(_parse([tf.train.Example().SerializeToString()], features), transform)
    return {name: transformed[name] for name in features.candidate_names()}


def _parse(records: Sequence[bytes], features: FeatureSet) -> dict[str, Any]:
    """Raw items as Transform's graph takes them: a SparseTensor for what may be missing."""
    raw = features.of_items()
    return tf.io.parse_example(records, {name: feature.raw_spec() for name, feature in raw.items()})


def model_features(raw: dict, transform: tft.TFTransformOutput) -> inputs.Batch:
    """Raw features to dense model features, those that depend on nothing else."""
    return inputs.densify(transform.transform_features_layer()(raw))


def _natural(item_id: bytes) -> tuple[int, bytes]:
    """Sorts `9` before `10`."""
    return len(item_id), item_id
