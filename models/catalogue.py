"""The candidates as arrays: raw ids and titles, and model features."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import inputs
from models.features import declared as f

_RAW_SPEC = {
    f.ITEM_ID.name: tf.io.FixedLenFeature([], tf.string),
    f.TITLE.name: tf.io.FixedLenFeature([], tf.string),
    f.TAGS.name: tf.io.VarLenFeature(tf.string),
}


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


def load_catalogue(files: Collection[str], transform: tft.TFTransformOutput) -> Catalogue:
    """Reads ItemGen's examples and applies Transform's graph to them."""
    raw = tf.io.parse_example(inputs.read_records(files), _RAW_SPEC)
    ids = raw[f.ITEM_ID.name].numpy()
    order = np.array(sorted(range(len(ids)), key=lambda row: _natural(ids[row])))
    features = model_features(raw, transform)
    return Catalogue(
        ids=ids[order],
        titles=raw[f.TITLE.name].numpy()[order],
        features={name: features[name].numpy()[order] for name in inputs.candidate_names(transform)},
    )


def unknown_item(transform: tft.TFTransformOutput) -> inputs.Batch:
    """Model features, [1] or [1, L], of an item that is not in the catalogue."""
    nothing = tf.sparse.from_dense(tf.constant([[""]]))
    raw = {f.ITEM_ID.name: tf.constant([""]), f.TITLE.name: tf.constant([""]), f.TAGS.name: nothing}
    features = model_features(raw, transform)
    return {name: features[name] for name in inputs.candidate_names(transform)}


def model_features(raw: dict, transform: tft.TFTransformOutput) -> inputs.Batch:
    """Raw features to dense model features, those that depend on nothing else."""
    return inputs.densify(transform.transform_features_layer()(raw))


def _natural(item_id: bytes) -> tuple[int, bytes]:
    """Sorts `9` before `10`."""
    return len(item_id), item_id
