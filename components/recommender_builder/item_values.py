"""What the data says of the items, as it stands there: for filters and rules, and to show."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import tensorflow as tf

from models.catalogue import Catalogue
from models.features import names as f
from models.features.kinds import Feature
from models.inputs import record_batches

ItemValues = dict[str, tf.RaggedTensor]  # By feature, [n, (number of values)].


def read(item_files: Collection[str], features: Mapping[str, Feature], catalogue: Catalogue) -> ItemValues:
    """The raw values of some features, in the catalogue's order.

    Args:
      item_files: ItemGen's examples.
      features: those that are wanted, by name.
      catalogue: the n items.
    """
    if not features:
        return {}
    ids, values = read_unordered(item_files, features)
    order = np.argsort(catalogue.rows(ids))
    return {name: tf.gather(lists, order) for name, lists in values.items()}


def read_unordered(item_files: Collection[str], features: Mapping[str, Feature]) -> tuple[np.ndarray, ItemValues]:
    """[n] ids, and the same in their order."""
    spec = {name: tf.io.RaggedFeature(feature.dtype(), row_splits_dtype=tf.int32) for name, feature in features.items()}
    spec[f.ITEM_ID] = tf.io.FixedLenFeature([], tf.string)
    parts = [tf.io.parse_example(records, spec) for records in record_batches(item_files)]
    ids = np.concatenate([part[f.ITEM_ID].numpy() for part in parts])
    return ids, {name: tf.concat([part[name] for part in parts], axis=0) for name in features}
