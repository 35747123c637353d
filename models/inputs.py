"""Transform's output as the dense tensors that the models take."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models.features import names as f
from models.features.feature_set import FeatureSet

_READ_BATCH = 8192
_SHUFFLED_ROWS = 200_000
_LABELS = (f.RATING, f.PREFERENCE)

Batch = dict[str, tf.Tensor]


def densify(transformed: dict[str, Any]) -> Batch:
    """Lists to [B, L] tensors, short ones filled with `f.PADDING`."""
    return {
        name: tf.sparse.to_dense(value, default_value=tf.constant(f.PADDING, value.dtype))
        if isinstance(value, tf.SparseTensor)
        else value
        for name, value in transformed.items()
    }


def column_batches(files: Collection[str], spec: dict[str, Any]) -> Iterator[dict[str, np.ndarray]]:
    """Some features of gzipped TFRecord files, in order, batch by batch.

    Args:
      files: patterns.
      spec: the features to read, of fixed length, as for tf.io.parse_example.
    """
    batches = _records(files).batch(_READ_BATCH).map(lambda batch: tf.io.parse_example(batch, spec))
    return batches.with_options(_options()).as_numpy_iterator()


def read_columns(files: Collection[str], spec: dict[str, Any]) -> dict[str, np.ndarray]:
    """As `column_batches`, all at once."""
    batches = list(column_batches(files, spec))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in spec}


def record_batches(files: Collection[str], rows: int = _READ_BATCH, most: int = -1) -> Iterator[np.ndarray]:
    """The records of gzipped TFRecord files, given as patterns, as they are: at most so many, from the first."""
    return _records(files).take(most).batch(rows).as_numpy_iterator()


def read_records(files: Collection[str], most: int = -1) -> list[bytes]:
    """As `record_batches`, all at once."""
    return [record for batch in record_batches(files, most=most) for record in batch]


def dataset(
    files: Collection[str], transform: tft.TFTransformOutput, batch_size: int, shuffle_seed: int | None = None
) -> tf.data.Dataset:
    """Batches of transformed examples.

    Args:
      files: patterns of gzipped TFRecord files.
      transform: what Transform made.
      batch_size: rows a batch; with a shuffle the last, short batch is dropped.
      shuffle_seed: None reads in order.
    """
    spec = transform.transformed_feature_spec()
    rows = _records(files)
    if shuffle_seed is not None:
        rows = rows.shuffle(_SHUFFLED_ROWS, seed=shuffle_seed)
    batches = rows.batch(batch_size, drop_remainder=shuffle_seed is not None)
    batches = batches.map(lambda batch: densify(tf.io.parse_example(batch, spec)), tf.data.AUTOTUNE).prefetch(2)
    return batches.with_options(_options())


def _records(files: Collection[str]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(list(files))), compression_type="GZIP")


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # Several workers take their shares of the same batches.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    # The end of an iterator may have to wait ten seconds for the thread that tunes it; there is nothing to tune here.
    options.autotune.enabled = False
    return options


def bucket_counts(transform: tft.TFTransformOutput) -> dict[str, int]:
    """Number of indices of each indexed feature, out-of-vocabulary buckets included."""
    schema = transform.transformed_metadata.schema
    return {entry.name: entry.int_domain.max + 1 for entry in schema.feature if entry.HasField("int_domain")}


def oov_index(transform: tft.TFTransformOutput, name: str) -> int:
    """The first index that no vocabulary entry of `name` has."""
    return transform.vocabulary_size_by_name(name)


def unknown_user(features: FeatureSet, transform: tft.TFTransformOutput) -> dict[str, int | float]:
    """The model features that are the user's own, with their values where nothing is known of the user."""
    indexed = bucket_counts(transform)
    return {name: oov_index(transform, name) if name in indexed else 0.0 for name in (f.USER_ID, *features.users)}


def signature(transform: tft.TFTransformOutput, names: Collection[str]) -> dict[str, tf.TensorSpec]:
    """Specs of dense model features, the batch first: [None] or, for lists, [None, None]."""
    spec = transform.transformed_feature_spec()
    return {
        name: tf.TensorSpec(
            [None, None] if isinstance(spec[name], tf.io.VarLenFeature) else [None], spec[name].dtype, name=name
        )
        for name in names
    }


def split_labels(batch: Batch) -> tuple[Batch, Batch]:
    """A batch's features and its labels, which data without ratings has none of."""
    labels = {name: batch[name] for name in _LABELS if name in batch}
    return {name: value for name, value in batch.items() if name not in _LABELS}, labels
