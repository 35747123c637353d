"""Models to be better than. Each takes the data and a seed and gives scores by user."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import threadpoolctl
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking

from benchmarks.quality.dataset import Dataset
from benchmarks.quality.measure import Scores

_EASE_L2 = 300.0
_EASE_MAX_ITEMS = 30_000  # Its matrix is dense: 3.6 GB.
_FACTORS = 64


def popularity(data: Dataset, seed: int) -> Scores:
    """Number of train interactions."""
    counts = np.bincount(data.train_pairs[1], minlength=len(data.items)).astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def _popular_for_unknown_users(data: Dataset, scores: Scores) -> Scores:
    """For users without a train interaction, of whom a model of interactions says nothing, the most popular."""
    known = data.train.getnnz(axis=1) > 0
    popular = popularity(data, 0)
    return lambda users: np.where(known[users][:, np.newaxis], scores(users), popular(users))


def ease(data: Dataset, seed: int) -> Scores:
    """EASE (Steck, WWW 2019): the closed-form item-item regression, zero diagonal; popularity for unknown users."""
    rated = np.flatnonzero(data.train.getnnz(axis=0))
    if len(rated) > _EASE_MAX_ITEMS:
        raise MemoryError(f"EASE needs a dense matrix of {len(rated)} items squared")
    matrix = data.train[:, rated]
    gram = (matrix.T @ matrix).toarray()
    gram[np.diag_indices_from(gram)] += _EASE_L2
    precision = np.linalg.inv(gram)
    weights = -precision / np.diag(precision)
    weights[np.diag_indices_from(weights)] = 0

    def scores(users: np.ndarray) -> np.ndarray:
        found = np.zeros((len(users), len(data.items)), np.float32)
        found[:, rated] = matrix[users] @ weights
        return found

    return _popular_for_unknown_users(data, scores)


def ials(data: Dataset, seed: int) -> Scores:
    """Implicit ALS (Hu, Koren and Volinsky, ICDM 2008), 64 factors; popularity for unknown users."""
    model = AlternatingLeastSquares(
        factors=_FACTORS, regularization=20.0, alpha=2.0, iterations=20, random_state=seed, use_gpu=False
    )
    return _popular_for_unknown_users(data, _fitted(model, data))


def bpr(data: Dataset, seed: int) -> Scores:
    """BPR matrix factorisation (Rendle et al., UAI 2009), 64 factors."""
    model = BayesianPersonalizedRanking(
        factors=_FACTORS, learning_rate=0.01, regularization=0.01, iterations=50, random_state=seed, use_gpu=False
    )
    return _fitted(model, data)


def _fitted(model, data: Dataset) -> Scores:
    with threadpoolctl.threadpool_limits(1, "blas"):  # implicit has threads of its own.
        model.fit(data.train, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


class TutorialModel(tfrs.Model):
    """The compiled two-tower of the TFRS tutorial "basic retrieval", on indices `user` and `item`.

    Args:
      users, items: how many there are.
      metric_items: what FactorizedTopK ranks in every step, as the tutorial has it; None: no metrics.
    """

    def __init__(self, users: int, items: int, metric_items: np.ndarray | None = None):
        super().__init__()
        self.user_tower = tf.keras.layers.Embedding(users, 32)
        self.item_tower = tf.keras.layers.Embedding(items, 32)
        self._with_metrics = metric_items is not None
        metrics = None
        if self._with_metrics:
            candidates = tf.data.Dataset.from_tensor_slices(metric_items).batch(128).map(self.item_tower)
            metrics = tfrs.metrics.FactorizedTopK(candidates)
        self.task = tfrs.tasks.Retrieval(metrics=metrics)
        self.compile(tf.keras.optimizers.Adagrad(0.1))

    def compute_loss(self, pairs, training=False):
        users, items = self.user_tower(pairs["user"]), self.item_tower(pairs["item"])
        return self.task(users, items, compute_metrics=self._with_metrics)


def tfrs_tutorial(data: Dataset, seed: int) -> Scores:
    """The two-tower of the TensorFlow Recommenders tutorial "basic retrieval": ids only, 32 dimensions, Adagrad."""
    tf.keras.utils.set_random_seed(seed)
    model = TutorialModel(len(data.users), len(data.items))
    pairs = (
        tf.data.Dataset.from_tensor_slices({"user": data.train_pairs[0], "item": data.train_pairs[1]})
        .shuffle(100_000, seed=seed)
        .batch(8192)
    )
    model.fit(pairs, epochs=3, verbose=0)
    items = model.item_tower.embeddings.numpy()
    return lambda users: model.user_tower(tf.constant(users)).numpy() @ items.T


BASELINES = {"popularity": popularity, "ease": ease, "ials": ials, "bpr": bpr, "tfrs_tutorial": tfrs_tutorial}
