"""Raw eval examples as requests to a servable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from models.features import names as f

_SPEC = {
    f.USER_ID: tf.io.FixedLenFeature([], tf.string),
    f.TIMESTAMP: tf.io.FixedLenFeature([], tf.int64),
    f.HISTORY_ITEM_ID: tf.io.RaggedFeature(tf.string, row_splits_dtype=tf.int64),
    f.HISTORY_TIMESTAMP: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64),
    f.ITEM_ID: tf.io.FixedLenFeature([], tf.string),
    f.RATING: tf.io.FixedLenFeature([], tf.float32, np.nan),
}


class Queries:
    """A batch of serialized examples as inputs of `recommend`, `retrieve` and `rank`.

    Attributes:
      items: [n] ids of the true items.
      ratings: [n] float; None where the data has none.
    """

    def __init__(self, records: Sequence[bytes]):
        raw = tf.io.parse_example(records, _SPEC)
        self.items = raw[f.ITEM_ID].numpy()
        ratings = raw[f.RATING].numpy().astype(float)
        self.ratings = None if np.isnan(ratings).any() else ratings
        self.inputs = {
            name: value.to_tensor() if isinstance(value, tf.RaggedTensor) else value
            for name, value in raw.items()
            if name not in (f.ITEM_ID, f.RATING)
        }

    @classmethod
    def of(cls, examples: Iterable[tf.train.Example]) -> Queries:
        """As the constructor, of examples that are not serialized."""
        return cls([example.SerializeToString() for example in examples])

    def ask(self, model, signature: str, **more: tf.Tensor) -> dict[str, np.ndarray]:
        """A signature's answers to these queries."""
        return {name: value.numpy() for name, value in model.signatures[signature](**self.inputs, **more).items()}


def raw_bytes(example: tf.train.Example, name: str) -> list[bytes]:
    """The values of a bytes feature."""
    return list(example.features.feature[name].bytes_list.value)
