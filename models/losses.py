"""The softmax over sampled candidates, and the samples that the replicas of a tf.distribute strategy share."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from models import inputs
from models.features import names as f
from models.layers import NEVER
from models.settings import Retrieval


def sampled_softmax(
    queries: tf.Tensor,
    candidates: tf.Tensor,
    added: tf.Tensor,
    ids: tf.Tensor,
    probability: tf.Tensor | None,
    config: Retrieval,
) -> tf.Tensor:
    """Cross-entropy of each query's own candidate among the sampled ones.

    `tfrs.tasks.Retrieval` gives the same losses, summed, in 1.7 times the time of forward and backward pass: it builds
    [B, C] labels. It cannot be traced without AutoGraph either, which takes seconds.

    Args:
      queries: [B, D].
      candidates: [C, D]; row b is query b's own, and all rows but that are its negatives.
      added: [A, C] to the logits of the first A queries; there is no gradient of it.
      ids: [C] item indices.
      probability: [C] of a candidate to be sampled, whose log is taken from the logits; None: no correction.
      config: temperature, precision, hard negatives, and whether other rows of the query's own item are left out.

    Returns:
      [B] losses.
    """
    queries = queries / config.temperature
    if probability is not None:  # As one more component, which saves passes over the logits.
        queries = tf.concat([queries, tf.ones_like(queries[:, :1])], axis=1)
        candidates = tf.concat([candidates, -tf.math.log(probability)[:, tf.newaxis]], axis=1)
    rows = tf.range(tf.shape(queries)[0])
    added = filled_up(added, tf.size(rows))
    if config.remove_accidental_hits:
        hits = ids == tf.gather(ids, rows)[:, tf.newaxis]
        added = tf.where(tf.linalg.set_diag(hits, tf.zeros_like(rows, tf.bool)), NEVER, added)
    logits = _product(queries, candidates, config.precision) + tf.stop_gradient(added)
    own = tf.reduce_sum(queries * candidates[: tf.size(rows)], axis=1) + tf.linalg.diag_part(added)
    if config.hard_negatives is not None:
        others = tf.linalg.set_diag(logits, tf.fill(tf.shape(rows), NEVER))
        hardest = tf.math.top_k(others, tf.minimum(config.hard_negatives, tf.shape(ids)[0] - 1)).values
        logits = tf.concat([own[:, tf.newaxis], hardest], axis=1)
    return _log_sum_exp(logits) - own


def _product(queries: tf.Tensor, candidates: tf.Tensor, precision: str) -> tf.Tensor:
    """[B, C] float32; it and its gradients are nearly all of a step's arithmetic."""
    factors = (tf.cast(values, precision) for values in (queries, candidates))
    return tf.cast(tf.matmul(*factors, transpose_b=True), tf.float32)


@tf.custom_gradient
def _log_sum_exp(logits: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """[B] from [B, C]; of the largest entry softmax tells the sum, in half of tf.reduce_logsumexp's time."""
    odds = tf.nn.softmax(logits)
    value = tf.reduce_max(logits, axis=1) - tf.math.log(tf.reduce_max(odds, axis=1))
    return value, lambda gradient: odds * gradient[:, tf.newaxis]


def filled_up(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """[A, …] values with as many zeros below them that there are [B, …]."""
    return tf.pad(values, [[0, rows - tf.shape(values)[0]], *[[0, 0]] * (values.shape.rank - 1)])


def weighted_mean(row_losses: tf.Tensor, batch: inputs.Batch) -> tf.Tensor:
    """The mean of [B] losses times the rows' weights, which are 1 on average, where there are any."""
    return tf.reduce_mean(row_losses * batch[f.WEIGHT] if f.WEIGHT in batch else row_losses)


def of_all_replicas(values: tf.Tensor) -> tf.Tensor:
    """[B, …] rows of this replica to [R B, …] of all R, its own first, then those of the next; differentiable."""
    replica = tf.distribute.get_replica_context()
    replicas, number = replica.num_replicas_in_sync, replica.replica_id_in_sync_group
    if replicas == 1:
        return values
    rows, more = tf.shape(values)[0], [[0, 0]] * (values.shape.rank - 1)
    # A sum of disjoint rows, as all_gather fails where each of several workers has one replica (TensorFlow 2.16).
    alone = tf.pad(values, [[number * rows, (replicas - 1 - number) * rows], *more])
    return tf.roll(replica.all_reduce(tf.distribute.ReduceOp.SUM, alone), -number * rows, axis=0)
