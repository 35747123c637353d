"""Transform's preprocessing_fn, derived from the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from models import inputs
from models.features import names as n
from models.features.feature_set import FeatureSet
from models.features.kinds import Feature
from models.settings import Transform

Raw = dict[str, Any]  # Tensors and SparseTensors by name.


def preprocessing_fn(raw: Raw, features: FeatureSet, settings: Transform) -> Raw:
    """Raw features to model features, of users' timelines and of items alike.

    Train examples and items are analysed together, so that there is one graph: a timeline has no item's features, and
    an item no user's. Entries that a timeline repeats from the one before are counted once.

    Args:
      raw: a batch of raw features, all as SparseTensors, as `raw_spec` parses them.
      features: of the data set.
      settings: the section `transform`.

    Returns:
      int64 indices, floats and labels under the raw features' names and those that `names` adds. Lists are
      SparseTensors.
    """
    overlap = features.of_timelines()[n.OVERLAP]
    outputs: Raw = {}
    for name, feature in (features.of_users() | features.items | {n.OVERLAP: overlap}).items():
        values = raw[name] if feature.is_list else _scalar(raw[name], feature.missing)
        outputs |= feature.preprocess(name, values, values, settings)
    counted_from = _scalar(raw[n.OVERLAP], tf.int64.max)  # An item has none, and so is not counted.
    for name, feature in features.of_interactions().items():
        values = raw[name]
        counted = tf.sparse.retain(values, values.indices[:, 1] >= tf.gather(counted_from, values.indices[:, 0]))
        outputs |= feature.preprocess(name, values, counted, settings)
    if features.events:
        outputs[n.WEIGHT] = _looked_up(raw[n.EVENT], features.events)
    if isinstance(features.positive, list):
        outputs[n.POSITIVE] = _looked_up(raw[n.EVENT], dict.fromkeys(features.positive, 1.0))
    elif features.positive is not None:
        ratings = raw[n.RATING]
        outputs[n.POSITIVE] = ratings.with_values(tf.cast(ratings.values >= features.positive, tf.float32))
    return outputs


def raw_spec(features: Mapping[str, Feature]) -> dict[str, tf.io.VarLenFeature]:
    """How raw examples are parsed for Transform's graph."""
    return {name: tf.io.VarLenFeature(feature.dtype()) for name, feature in features.items()}


def unknown_user(features: FeatureSet, transform: tft.TFTransformOutput) -> dict[str, Any]:
    """The model features that a user has, with their values where nothing is known; of lists what fills them up."""
    nobody = tf.io.parse_example([tf.train.Example().SerializeToString()], raw_spec(features.of_users()))
    known = inputs.densify(transform.transform_features_layer()(nobody))
    return {
        name: known[name].numpy()[0] if known[name].shape.rank == 1 else inputs.padding(known[name].dtype)
        for name in features.model_users()
    }


def _scalar(sparse: tf.SparseTensor, missing: Any) -> tf.Tensor:
    """[B] from a SparseTensor with at most one value a row."""
    one_column = tf.SparseTensor(sparse.indices, sparse.values, [sparse.dense_shape[0], 1])
    return tf.squeeze(tf.sparse.to_dense(one_column, tf.constant(missing, sparse.dtype)), axis=1)


def _looked_up(events: tf.SparseTensor, values: dict[str, float]) -> tf.SparseTensor:
    """Each event's value, 0 where it has none."""
    found = tf.zeros_like(events.values, tf.float32)
    for event, value in values.items():
        found = tf.where(events.values == event, value, found)
    return events.with_values(found)
