"""What `recommender explore` shows of a model beside its answers. It travels with the pushed version."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from components.recommender_builder import item_values
from components.recommender_builder.users import Users
from components.statistics import Statistics, by_name, is_text
from models.catalogue import Catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from serving.explore import files

_SHOWN_KINDS = ("category", "tags", "number")
_USERS = 10_000  # At most, chosen by a hash of their ids.


def write(
    model_dir: str,
    catalogue: Catalogue,
    users: Users,
    features: FeatureSet,
    item_files: Collection[str],
    statistics: Statistics,
) -> None:
    """Puts it into a SavedModel's directory.

    Args:
      model_dir: the SavedModel's.
      catalogue: the items.
      users: the users, with all that the model knows of them.
      features: of the data set.
      item_files: ItemGen's examples.
      statistics: of the train examples, for the values of the context.
    """
    directory = os.path.join(model_dir, files.DIRECTORY)
    tf.io.gfile.makedirs(directory)
    columns = {
        f.ITEM_ID: _texts(catalogue.ids),
        f.TITLE: _texts(catalogue.titles),
        "interactions": np.bincount(users.items, minlength=len(catalogue) + 1)[:-1],
        **_shown_features(features, item_files, catalogue),
    }
    _write_table(columns, os.path.join(directory, files.ITEMS_FILE))
    _write_table(_histories(users, features.histories.known), os.path.join(directory, files.USERS_FILE))
    summary = {
        "interactions": len(users.items),
        "users": len(users.ids),
        "items": len(catalogue),
        "last_timestamp": int(users.timestamps.max()),
        "repeats": features.histories.repeats,
        "context": {name: _values(name, statistics) for name in features.context},
    }
    with tf.io.gfile.GFile(os.path.join(directory, files.SUMMARY_FILE), "w") as file:
        file.write(json.dumps(summary, indent=2))


def _histories(users: Users, length: int) -> dict[str, Any]:
    """What the model knows of some users: their last interactions, the most recent first."""
    hashes = tf.strings.to_hash_bucket_fast(users.ids, tf.int64.max).numpy()
    chosen = np.sort(np.argsort(hashes, kind="stable")[:_USERS])
    starts, counts = users.starts[chosen], users.starts[chosen + 1] - users.starts[chosen]
    lengths = np.minimum(counts, length)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
    return {
        f.USER_ID: _texts(users.ids[chosen]),
        "interactions": counts,
        "history_row": pa.ListArray.from_arrays(offsets.astype(np.int32), users.items[rows]),
        f.HISTORY_TIMESTAMP: pa.ListArray.from_arrays(offsets.astype(np.int32), users.timestamps[rows]),
    }


def _shown_features(features: FeatureSet, item_files: Collection[str], catalogue: Catalogue) -> dict[str, pa.Array]:
    """Each category, tag and number of the items as lists of texts, in the catalogue's order."""
    shown = {name: feature for name, feature in features.items.items() if feature.kind in _SHOWN_KINDS}
    values = item_values.read(item_files, shown, catalogue)
    return {files.FEATURE_PREFIX + name: _text_lists(lists) for name, lists in values.items()}


def _text_lists(values: tf.RaggedTensor) -> pa.Array:
    flat = values.flat_values.numpy()
    texts = _texts(flat) if values.dtype == tf.string else pa.array([f"{value:g}" for value in flat], pa.string())
    return pa.ListArray.from_arrays(values.row_splits.numpy(), texts)


def _values(name: str, statistics: Statistics) -> list[str]:
    """The most frequent texts of a context feature, as many as TFDV keeps; none of a number."""
    feature = by_name(statistics)[name]
    buckets = feature.string_stats.rank_histogram.buckets if is_text(feature) else []
    return [bucket.label for bucket in buckets if bucket.label]


def _texts(values: np.ndarray) -> pa.Array:
    return pa.array(values.tolist(), pa.binary()).cast(pa.string())


def _write_table(columns: dict[str, Any], path: str) -> None:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer)
    with tf.io.gfile.GFile(path, "wb") as file:
        file.write(buffer.getvalue().to_pybytes())
