"""Examples on the disk, and Transform's output as the dense tensors that the models take."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from models.features import names as f

_READ_BATCH = 8192
_LABELS = (f.RATING, f.POSITIVE, f.WEIGHT)

Batch = dict[str, tf.Tensor]


def padding(dtype: tf.DType) -> Any:
    """What fills up lists: no index, an empty text, or zero."""
    return f.PADDING if dtype.is_integer else "" if dtype == tf.string else 0.0


def densify(transformed: dict[str, Any]) -> Batch:
    """Lists to [B, L] tensors, short ones filled up with `padding`."""
    return {
        name: tf.sparse.to_dense(value, default_value=tf.constant(padding(value.dtype), value.dtype))
        if isinstance(value, tf.SparseTensor)
        else value
        for name, value in transformed.items()
    }


def gathered(table: Batch, rows: tf.Tensor) -> Batch:
    """What a table has at [B] rows."""
    return {name: tf.gather(values, rows) for name, values in table.items()}


def gaps(moments: tf.Tensor, times: tf.Tensor) -> tf.Tensor:
    """[B] moments and [B, H] times of a history, 0 where not known, to [B, H] logs of one plus their distances."""
    distance = tf.cast(tf.abs(moments[:, tf.newaxis] - times), tf.float64)
    # In double precision, as the last bit of a logarithm depends on where a value lies in memory.
    return tf.where(times > 0, tf.cast(tf.math.log1p(distance), tf.float32), f.UNKNOWN_GAP)


def read_columns(files: Collection[str], spec: dict[str, Any]) -> dict[str, np.ndarray]:
    """Some features of gzipped TFRecord files, in order.

    Args:
      files: patterns.
      spec: the features to read, of fixed length, as for tf.io.parse_example.
    """
    rows = _records(files).batch(_READ_BATCH).map(lambda batch: tf.io.parse_example(batch, spec))
    batches = list(rows.with_options(data_options()).as_numpy_iterator())
    return {name: np.concatenate([batch[name] for batch in batches]) for name in spec}


def record_batches(files: Collection[str], rows: int = _READ_BATCH) -> Iterator[np.ndarray]:
    """The records of gzipped TFRecord files, given as patterns, as they are."""
    return _records(files).batch(rows).as_numpy_iterator()


def read_records(files: Collection[str]) -> list[bytes]:
    """As `record_batches`, all at once."""
    return [record for batch in record_batches(files) for record in batch]


def _records(files: Collection[str]) -> tf.data.Dataset:
    paths = sorted(tf.io.gfile.glob(list(files)))
    return tf.data.TFRecordDataset(tf.constant(paths, tf.string), compression_type="GZIP")


def data_options() -> tf.data.Options:
    """For all data sets."""
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


def signature(batch: Batch, names: Collection[str]) -> dict[str, tf.TensorSpec]:
    """Specs of model features like a batch's, for any number of rows; only vectors have a fixed length."""
    return {name: tf.TensorSpec(_shape(name, batch[name]), batch[name].dtype, name=name) for name in names}


def _shape(name: str, values: tf.Tensor) -> list[int | None]:
    of_any_length = values.dtype.is_integer or name == f.HISTORY_GAP
    return [None] * values.shape.rank if of_any_length else [None, *values.shape[1:]]


def split_labels(batch: Batch) -> tuple[Batch, Batch]:
    """A batch's features and its labels, of which data may have none."""
    labels = {name: batch[name] for name in _LABELS if name in batch}
    return {name: value for name, value in batch.items() if name not in _LABELS}, labels
