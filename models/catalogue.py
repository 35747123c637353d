"""The candidates as arrays: raw ids and titles, and model features."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models import inputs
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.features.preprocessing import raw_spec


@dataclass(frozen=True)
class Catalogue:
    """The n candidates: those with train interactions in the order of their vocabulary, then the others.

    So the index of an item that training knows is its row, and what else an item's row tells is gathered from here.

    Attributes:
      ids: [n] bytes.
      titles: [n] bytes.
      features: model features of the candidate side, [n + 1] or [n + 1, L]; the last row is an unknown item.
    """

    ids: np.ndarray
    titles: np.ndarray
    features: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def _row_of(self) -> dict[bytes, int]:
        return {item: row for row, item in enumerate(self.ids.tolist())}

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The rows of items by their ids; n for those that are not here."""
        return np.array([self._row_of.get(item, len(self)) for item in ids.tolist()], np.int64)

    def are_in(self, ids: Collection[str]) -> np.ndarray:
        """[n] which items have one of these ids."""
        return np.isin(self.ids, [item.encode() for item in ids]) if ids else np.zeros(len(self), bool)


def load_catalogue(files: Collection[str], features: FeatureSet, transform: tft.TFTransformOutput) -> Catalogue:
    """Reads ItemGen's examples and applies Transform's graph to them."""
    records = [*inputs.read_records(files), tf.train.Example().SerializeToString()]
    raw = tf.io.parse_example(records, raw_spec(features.of_items()))
    ids = tf.sparse.to_dense(raw[f.ITEM_ID])[:-1, 0].numpy()
    # What an item does not have, as the users' features, is left out.
    transformed = inputs.densify(transform.transform_features_layer()(raw))
    found = {name: transformed[name].numpy() for name in features.candidate_names()}
    oov = inputs.oov_index(transform, f.ITEM_ID)
    indices = np.append(found[f.ITEM_ID][:-1, 0], oov)
    known = indices[:-1] < oov
    order = np.lexsort((ids, np.char.str_len(ids.astype(bytes)), indices[:-1]))
    if known.sum() != oov:
        raise ValueError(f"{oov} items have train interactions, and {known.sum()} of them are in the catalogue")
    titles = tf.sparse.to_dense(raw[f.TITLE])[:-1, 0].numpy() if f.TITLE in raw else ids
    found[f.ITEM_ID] = indices
    with_last = np.append(order, len(ids))
    return Catalogue(
        ids=ids[order],
        titles=titles[order],
        features={name: values[with_last] for name, values in found.items()},
    )
