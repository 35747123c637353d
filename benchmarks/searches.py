"""Vectors to search among, and an index's search as a server has it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from components.recommender_builder.tuning import Search

K = 100
_CENTRES = 1000  # Embeddings of real catalogues come in clusters.


def clusters(dimensions: int, noise: float) -> Callable[[int], np.ndarray]:
    """A function that draws n float32 vectors around fixed centres, [n, dimensions]; repeatable."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(_CENTRES, dimensions)).astype(np.float32)

    def draw(rows: int) -> np.ndarray:
        around = rng.normal(size=(rows, dimensions)).astype(np.float32)
        return centres[rng.integers(_CENTRES, size=rows)] + np.float32(noise) * around

    return draw


def in_servable(index: tf.Module, dimensions: int, path: str) -> Search:
    """The index's search for `K` as a signature, saved and loaded."""
    specs = [tf.TensorSpec([None, dimensions], tf.float32, name="query")]
    search = tf.function(lambda query: {"row": index.search(query, K)}, input_signature=specs, autograph=False)
    options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    tf.saved_model.save(index, path, signatures={"serving_default": search}, options=options)
    model = tf.saved_model.load(path)
    return lambda queries: model.signatures["serving_default"](query=tf.constant(queries))["row"].numpy()
