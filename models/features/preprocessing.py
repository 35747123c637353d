"""Transform's preprocessing_fn, derived from the features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from models.features import names as n
from models.features.kinds import Feature, Raw
from models.settings import Transform


def preprocessing_fn(inputs: Raw, features: Mapping[str, Feature], settings: Transform) -> Raw:
    """Raw features to model features.

    Args:
      inputs: a batch of raw features as the schema declares them.
      features: by name.
      settings: the section `transform`.

    Returns:
      int64 indices, float scores and labels under the raw features' names and those that `names` adds. Lists are
      SparseTensors.
    """
    outputs = {
        n.ITEM_KEY: tf.identity(inputs[n.ITEM_ID]),
        n.ROW_KEY: row_key(inputs[n.USER_ID], inputs[n.ITEM_ID], inputs[n.TIMESTAMP]),
    }
    for name, feature in features.items():
        outputs |= feature.preprocess(name, inputs, settings)
    return outputs


def row_key(user_id: Any, item_id: Any, timestamp: Any) -> tf.Tensor:
    """An int64 by which a raw row is found again among the transformed ones: user, item and second are unique."""
    joined = tf.strings.join([user_id, item_id, tf.strings.as_string(timestamp)], separator="\n")
    return tf.strings.to_hash_bucket_fast(joined, tf.int64.max)
