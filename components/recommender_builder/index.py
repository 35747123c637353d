"""Search for the candidates with the largest inner product."""

from __future__ import annotations

import hashlib
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from components.recommender_builder.settings import Index
from components.recommender_builder.tuning import Trial, fastest, geometric_steps, median_milliseconds, recalls
from models.errors import UserError

# ScaNN's own rules (scann/docs/algorithms.md).
_BRUTE_FORCE_BELOW = 20_000
_TREE_FROM = 100_000
_TREE_SAMPLE = 250_000

_LEAST_LEAVES_SHARE = 0.002
_REORDERED = (1.2, 1.5, 2, 3, 5, 8, 12, 20, 40)  # Per neighbour.
_FLOATS_WORTH = 0.01  # Recall that they have to add, where the recall wanted is out of reach for both.
_TRUTH_BATCH = 16


class ExactIndex(tf.Module):
    """Scores every candidate."""

    kind = "exact"

    def __init__(self, vectors: np.ndarray):
        super().__init__()
        self._vectors = tf.Variable(vectors, trainable=False, name="vectors")

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """[B, D] queries to the [B, k] candidates of the highest score, best first."""
        return tf.math.top_k(tf.matmul(queries, self._vectors, transpose_b=True), k).indices


class Settings(NamedTuple):
    """What a ScaNN search does beyond what it was built with; a brute force does without."""

    leaves: int | None  # Leaves of the tree that are searched.
    reordered: float  # Neighbours whose exact score is computed, for each that is wanted.


class ScannIndex(tf.Module):
    """ScaNN: brute force, hashing, or a tree with hashing, as the number of candidates asks for.

    How far it searches is tuned on queries, to be the fastest that reaches the recall wanted. Where candidates are
    hashed, the vectors that order what was found have a byte for a number: whoever asks computes exact scores anyway.
    They are floats where only floats reach the recall or, where nothing does, come nearer to it by a hundredth. The
    process that loads an export needs the ScaNN ops: `import scann`, or google/tf-serving-scann.

    Args:
      vectors: [n, D] float32 candidates.
      neighbours: how many are looked for while tuning.
      queries: [Q, D] float32, like those that will come.
      recall: share of the true neighbours that is wanted.
    """

    def __init__(self, vectors: np.ndarray, neighbours: int, queries: np.ndarray, recall: float):
        super().__init__()
        rows = len(vectors)
        hashed = "scann_tree" if rows >= _TREE_FROM else "scann_hashed"
        self.kind = hashed if rows >= _BRUTE_FORCE_BELOW else "scann_brute_force"
        self.leaves = round(math.sqrt(rows)) if self.kind == "scann_tree" else None
        self.settings = Settings(self.leaves, 1.0)
        self._rows = rows
        self._sample = min(rows, _TREE_SAMPLE)
        self._in_bytes = self.kind != "scann_brute_force"
        self._build(vectors, neighbours)
        if self.kind == "scann_brute_force":
            return
        truth = true_neighbours(vectors, queries, neighbours)
        tuned = self._tuned(neighbours, queries, truth, recall)
        if not tuned.reached:
            with_bytes = True, self._state, self._shared_name
            self._in_bytes = False
            self._build(vectors, neighbours)
            of_floats = self._tuned(neighbours, queries, truth, recall)
            if of_floats.reached or of_floats.recall >= tuned.recall + _FLOATS_WORTH:
                tuned = of_floats
            else:
                self._in_bytes, self._state, self._shared_name = with_bytes
        self.settings = tuned.settings

    def _build(self, vectors: np.ndarray, neighbours: int) -> None:
        from scann import scann_ops

        builder = self.configured(scann_ops.builder(vectors, neighbours, "dot_product"), neighbours)
        self._state = builder.build().serialize_to_module()
        for part in self._state.variables:
            if not part.shape.rank:  # What this kind of index is without: ScaNN leaves memory as it found it.
                part.assign(tf.zeros_like(part))
        # Searchers are shared by name within a process. A name of its own keeps two indexes apart: those of one model,
        # and those of the versions that a server holds at the same time.
        content = hashlib.sha256(np.ascontiguousarray(vectors))
        content.update(self._state.scann_config.numpy().item())
        self._shared_name = content.hexdigest()

    def configured(self, builder, neighbours: int):
        """One of ScaNN's builders, told what this index is like."""
        if self.kind == "scann_brute_force":
            return builder.score_brute_force()
        if self.leaves:
            builder = builder.tree(self.leaves, self.leaves, training_sample_size=self._sample)
        builder = builder.score_ah(2, anisotropic_quantization_threshold=0.2)
        return builder.reorder(round(max(_REORDERED) * neighbours), quantize=self._in_bytes)

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """[B, D] queries to the [B, k] candidates of the highest approximate score, best first.

        Where the leaves that are searched hold fewer, n, which is no candidate, fills up.
        """
        return self._search(queries, k, self.settings)

    def _search(self, queries: tf.Tensor, k: tf.Tensor, settings: Settings) -> tf.Tensor:
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
        leaves = settings.leaves
        if leaves:  # At least what holds twice the k, as a long history asks for many.
            leaves = tf.clip_by_value(k // (self._rows // (2 * self.leaves)) + 1, leaves, self.leaves)
        found = scann_ops.ScannSearcher(handle).search_batched(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=tf.cast(tf.math.ceil(settings.reordered * tf.cast(k, tf.float32)), tf.int32),
            leaves_to_search=leaves,
        )
        # ScaNN fills up with candidate 0 at a distance that is not a number, and its ops do not tell their shapes.
        candidates = tf.where(tf.math.is_nan(found.distances), self._rows, found.indices)
        return tf.ensure_shape(candidates, [None, None])

    def _tuned(self, neighbours: int, queries: np.ndarray, truth: np.ndarray, recall: float) -> Trial:
        leaves = geometric_steps(_LEAST_LEAVES_SHARE * self.leaves, self.leaves, 1.4) if self.leaves else [None]
        groups = [[Settings(searched, reordered) for reordered in _REORDERED] for searched in leaves]
        return fastest(groups, lambda settings: searcher(self._search, neighbours, settings), queries, truth, recall)


class PartIndex(tf.Module):
    """Finds rows of a catalogue with an index over some of them, as `of_catalogue`."""

    def __init__(self, index: ExactIndex | ScannIndex, rows: np.ndarray, size: int):
        super().__init__()
        self._index = index
        self._rows = tf.Variable([*rows, size], trainable=False, dtype=tf.int32)

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """As of an index."""
        return tf.gather(self._rows, self._index.search(queries, k))


def of_catalogue(index: ExactIndex | ScannIndex, rows: np.ndarray, size: int) -> ExactIndex | ScannIndex | PartIndex:
    """An index over the vectors of some rows of a catalogue as one that finds these rows.

    Args:
      index: over [m, D] vectors.
      rows: [m] where in the catalogue they are.
      size: of the catalogue.
    """
    return index if len(rows) == size else PartIndex(index, rows, size)


def build_index(config: Index, vectors: np.ndarray, queries: np.ndarray) -> ExactIndex | ScannIndex:
    """The configured index over [n, D] float32 vectors, tuned on [Q, D] queries."""
    if config.kind == "exact":
        return ExactIndex(vectors)
    try:
        return ScannIndex(vectors, min(config.candidates, len(vectors)), queries, config.recall)
    except ImportError as error:
        raise UserError(f"ScaNN cannot be imported ({error}): install it, or set index.kind=exact") from error


def searcher(search, k: int, *more):
    """An index's `search` for k candidates, as a function of arrays."""
    function = tf.function(lambda queries: search(queries, tf.constant(k), *more), autograph=False)
    call = function.get_concrete_function(tf.TensorSpec([None, None], tf.float32))
    return lambda queries: call(tf.constant(queries)).numpy()


def true_neighbours(vectors: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """[Q, k] rows of the vectors of the largest inner products, best first."""
    search = searcher(ExactIndex(vectors).search, k)
    return np.concatenate([search(queries[n : n + _TRUTH_BATCH]) for n in range(0, len(queries), _TRUTH_BATCH)])


def describe(index: ExactIndex | ScannIndex, vectors: np.ndarray, queries: np.ndarray, k: int) -> dict[str, float]:
    """What is worth knowing of an index.

    Returns:
      its `kind` and settings; `tuning_recall` on the queries; the median `milliseconds` of a search for one query's
      best k, `exact_milliseconds` of an exact one, and their ratio, `speed_up`.
    """
    k = min(k, len(vectors))
    search, exact = searcher(index.search, k), searcher(ExactIndex(vectors).search, k)
    milliseconds, exact_milliseconds = (median_milliseconds(one, queries) for one in (search, exact))
    figures = {"kind": index.kind}
    if isinstance(index, ScannIndex) and index.kind != "scann_brute_force":
        figures |= {"leaves": index.leaves, "searched_leaves": index.settings.leaves}
        figures |= {"reordered_per_neighbour": index.settings.reordered}
    return figures | {
        "tuning_recall": float(recalls(search(queries), true_neighbours(vectors, queries, k)).mean()),
        "milliseconds": milliseconds,
        "exact_milliseconds": exact_milliseconds,
        "speed_up": exact_milliseconds / milliseconds,
    }
