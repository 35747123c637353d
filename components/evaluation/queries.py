"""Raw eval examples as requests to a servable."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pipeline import features as f


class Queries:
    """A batch of examples as inputs of `recommend`, `retrieve` and `rank`.

    Attributes:
      movies: [n] ids of the true movies.
      ratings: [n] float.
    """

    def __init__(self, examples: list[tf.train.Example]):
        histories = [raw_bytes(example, f.HISTORY_MOVIE_ID.name) for example in examples]
        times = [raw_ints(example, f.HISTORY_TIMESTAMP.name) for example in examples]
        self.movies = np.array([raw_bytes(example, f.MOVIE_ID.name)[0] for example in examples], object)
        rated = [example.features.feature[f.USER_RATING.name].float_list.value[0] for example in examples]
        self.ratings = np.array(rated, float)
        self.inputs = {
            f.USER_ID.name: tf.constant([raw_bytes(example, f.USER_ID.name)[0] for example in examples]),
            f.TIMESTAMP.name: tf.constant([raw_ints(e, f.TIMESTAMP.name)[0] for e in examples], tf.int64),
            f.HISTORY_MOVIE_ID.name: _padded(histories, b"", tf.string),
            f.HISTORY_TIMESTAMP.name: _padded(times, 0, tf.int64),
        }

    def ask(self, model, signature: str, **more: tf.Tensor) -> dict[str, np.ndarray]:
        """A signature's answers to these queries."""
        return {name: value.numpy() for name, value in model.signatures[signature](**self.inputs, **more).items()}


def raw_bytes(example: tf.train.Example, name: str) -> list[bytes]:
    """The values of a bytes feature."""
    return list(example.features.feature[name].bytes_list.value)


def raw_ints(example: tf.train.Example, name: str) -> list[int]:
    """The values of an int64 feature."""
    return list(example.features.feature[name].int64_list.value)


def _padded(lists: list[list], filler: Any, dtype: tf.DType) -> tf.Tensor:
    width = max(map(len, lists))
    return tf.constant([row + [filler] * (width - len(row)) for row in lists], dtype, [len(lists), width])
