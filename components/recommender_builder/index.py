"""Search for the candidates with the largest inner product."""

from __future__ import annotations

import hashlib
import math
import time

import numpy as np
import tensorflow as tf

from pipeline.config import Index
from pipeline.errors import UserError

# ScaNN's own rules (scann/docs/algorithms.md).
_BRUTE_FORCE_BELOW = 20_000
_TREE_FROM = 100_000
_REORDERED_PER_NEIGHBOUR = 10
_SEARCHED_LEAVES_SHARE = 0.1
_MIN_SEARCHED_LEAVES = 50

_WARM_UP, _TIMED_QUERIES = 10, 200


class ExactIndex(tf.Module):
    """Scores every candidate."""

    kind = "exact"

    def __init__(self, vectors: np.ndarray):
        super().__init__()
        self._vectors = tf.Variable(vectors, trainable=False, name="vectors")

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """[B, D] queries to the [B, k] candidates of the highest score, best first."""
        return tf.math.top_k(tf.matmul(queries, self._vectors, transpose_b=True), k).indices


class ScannIndex(tf.Module):
    """ScaNN: brute force, hashing, or a tree with hashing, as the number of candidates asks for.

    The process that loads an export needs the ScaNN ops: `import scann`, or google/tf-serving-scann.
    """

    def __init__(self, vectors: np.ndarray, neighbours: int):
        super().__init__()
        from scann import scann_ops

        builder = scann_ops.builder(vectors, neighbours, "dot_product")
        rows = len(vectors)
        if rows < _BRUTE_FORCE_BELOW:
            self.kind = "scann_brute_force"
            builder = builder.score_brute_force()
        else:
            self.kind = "scann_hashed"
            if rows >= _TREE_FROM:
                self.kind = "scann_tree"
                leaves = round(math.sqrt(rows))
                searched = min(leaves, max(_MIN_SEARCHED_LEAVES, round(leaves * _SEARCHED_LEAVES_SHARE)))
                builder = builder.tree(leaves, searched, training_sample_size=min(rows, 250_000))
            builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
            builder = builder.reorder(_REORDERED_PER_NEIGHBOUR * neighbours)
        self._state = builder.build().serialize_to_module()
        # Searchers are shared by name within a process. A name of its own keeps two indexes apart: those of one model,
        # and those of the versions that a server holds at the same time.
        self._shared_name = hashlib.sha256(np.ascontiguousarray(vectors)).hexdigest()

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """[B, D] queries to the [B, k] candidates of the highest approximate score, best first."""
        from scann import scann_ops

        state = self._state
        handle = scann_ops.tensors_to_scann(
            state.dataset,
            state.scann_config,
            state.serialized_partitioner,
            state.datapoint_to_token,
            state.ah_codebook,
            state.hashed_dataset,
            state.int8_dataset,
            state.int8_multipliers,
            state.dp_norms,
            shared_name=self._shared_name,
        )
        found = scann_ops.ScannSearcher(handle).search_batched(
            queries, final_num_neighbors=k, pre_reorder_num_neighbors=_REORDERED_PER_NEIGHBOUR * k
        )
        return tf.ensure_shape(found.indices, [None, None])  # ScaNN's ops do not tell their shapes.


def build_index(config: Index, vectors: np.ndarray) -> ExactIndex | ScannIndex:
    """The configured index over [n, D] float32 vectors."""
    if config.kind == "exact":
        return ExactIndex(vectors)
    try:
        return ScannIndex(vectors, min(config.candidates, len(vectors)))
    except ImportError as error:
        raise UserError(f"ScaNN cannot be imported ({error}): install it, or set index.kind=exact") from error


def measured_speed(
    index: ExactIndex | ScannIndex, vectors: np.ndarray, queries: np.ndarray, k: int
) -> dict[str, float]:
    """Median milliseconds of a search for one query's best k, by this index and by exact search; and their ratio."""
    k = tf.constant(min(k, len(vectors)))
    milliseconds = {}
    for name, searched in (("milliseconds", index), ("exact_milliseconds", ExactIndex(vectors))):
        search = tf.function(searched.search, autograph=False)
        seconds = []
        for query in queries[: _WARM_UP + _TIMED_QUERIES]:
            started = time.perf_counter()
            search(tf.constant(query[np.newaxis]), k).numpy()
            seconds.append(time.perf_counter() - started)
        milliseconds[name] = float(np.median(seconds[_WARM_UP:] or seconds)) * 1000
    return milliseconds | {"speed_up": milliseconds["exact_milliseconds"] / milliseconds["milliseconds"]}
