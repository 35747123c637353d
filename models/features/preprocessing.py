"""Transform's preprocessing_fn, derived from the declared features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from models.features import declared as f
from models.features.declared import Kind
from models.settings import Transform

_WORD_SEPARATOR = r"[^\pL\pN]+"


Raw = dict[str, Any]  # Tensors and SparseTensors by name.


def preprocessing_fn(inputs: Raw, settings: Transform) -> Raw:
    """Raw features to model features.

    Args:
      inputs: a batch of raw features as the schema declares them.
      settings: the section `transform`.

    Returns:
      int64 indices, float scores and labels under the raw features' names and those that `declared` adds.
      Lists are SparseTensors.
    """
    present = [feature for feature in f.FEATURES if feature.name in inputs]
    ids = {x.name: tft.vocabulary(inputs[x.name], vocab_filename=x.name) for x in present if x.kind is Kind.ID}
    outputs = {
        f.ITEM_KEY: tf.identity(inputs[f.ITEM_ID.name]),
        f.ROW_KEY: row_key(inputs[f.USER_ID.name], inputs[f.ITEM_ID.name], inputs[f.TIMESTAMP.name]),
    }
    for feature in present:
        if feature.kind in (Kind.ID, Kind.HISTORY_IDS):
            vocabulary = ids[feature.name if feature.kind is Kind.ID else f.ITEM_ID.name]
            indices = tft.apply_vocabulary(inputs[feature.name], vocabulary, num_oov_buckets=settings.oov_buckets)
            outputs[feature.name] = indices
        else:
            outputs |= _TRANSFORMS[feature.kind](feature.name, inputs, settings)
    return outputs


def row_key(user_id: Any, item_id: Any, timestamp: Any) -> tf.Tensor:
    """An int64 by which a raw row is found again among the transformed ones: user, item and second are unique."""
    joined = tf.strings.join([user_id, item_id, tf.strings.as_string(timestamp)], separator="\n")
    return tf.strings.to_hash_bucket_fast(joined, tf.int64.max)


def _vocabulary(name: str, values: Any, settings: Transform, min_count: int | None = None) -> Any:
    return tft.compute_and_apply_vocabulary(
        values, num_oov_buckets=settings.oov_buckets, frequency_threshold=min_count, vocab_filename=name
    )


def _words(name: str, inputs: Raw, settings: Transform) -> Raw:
    lowered = tf.strings.lower(inputs[name], encoding="utf-8")
    words = tf.strings.split(tf.strings.strip(tf.strings.regex_replace(lowered, _WORD_SEPARATOR, " ")))
    return {name: _vocabulary(name, words[:, : f.MAX_WORDS].to_sparse(), settings, settings.min_word_count)}


def _tags(name: str, inputs: Raw, settings: Transform) -> Raw:
    return {name: _vocabulary(name, inputs[name], settings)}


def _category(name: str, inputs: Raw, settings: Transform) -> Raw:
    return {name: _vocabulary(name, _scalar(inputs[name], ""), settings)}


def _number(name: str, inputs: Raw, settings: Transform) -> Raw:
    return {name: _scalar(tft.scale_to_z_score(inputs[name]), 0.0)}


def _timestamp(name: str, inputs: Raw, settings: Transform) -> Raw:
    return {name: tft.bucketize(inputs[name], settings.timestamp_buckets)}


def _rating(name: str, inputs: Raw, settings: Transform) -> Raw:
    liked = inputs[name] >= settings.preference_threshold
    return {name: inputs[name], f.PREFERENCE: tf.cast(liked, tf.float32)}


def _history_times(name: str, inputs: Raw, settings: Transform) -> Raw:
    history = inputs[name]
    moment = tf.gather(inputs[f.TIMESTAMP.name], history.indices[:, 0])
    # In double precision, as the last bit of a logarithm depends on where a value lies in memory.
    gap = tf.cast(tf.math.log1p(tf.cast(tf.abs(moment - history.values), tf.float64)), tf.float32)
    gap = tf.where(history.values > 0, gap, f.UNKNOWN_GAP)
    return {f.HISTORY_GAP: tf.SparseTensor(history.indices, gap, history.dense_shape)}


def _scalar(sparse: tf.SparseTensor, default: Any) -> tf.Tensor:
    """[B] from a SparseTensor with at most one value a row."""
    one_column = tf.SparseTensor(sparse.indices, sparse.values, [sparse.dense_shape[0], 1])
    return tf.squeeze(tf.sparse.to_dense(one_column, default_value=default), axis=1)


_TRANSFORMS: dict[Kind, Callable[[str, Raw, Transform], Raw]] = {
    Kind.WORDS: _words,
    Kind.TAGS: _tags,
    Kind.CATEGORY: _category,
    Kind.NUMBER: _number,
    Kind.TIMESTAMP: _timestamp,
    Kind.RATING: _rating,
    Kind.HISTORY_TIMES: _history_times,
}
