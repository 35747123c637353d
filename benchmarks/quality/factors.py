"""Models of user and item ids. They know a user's train rows alone: a live history tells them nothing."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import threadpoolctl
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking

from benchmarks.quality.dataset import Dataset, Queries
from benchmarks.quality.measure import Fixed

_FACTORS = 64


class Factors(Fixed):
    """Products of factors; popularity for users without a train row.

    Args:
      data: whose train rows the factors were learnt from.
      users, items: [U, D] and [n, D] factors.
    """

    def __init__(self, data: Dataset, users: np.ndarray, items: np.ndarray):
        self._users, self._items = users, items
        self._known = data.matrix.getnnz(axis=1) > 0
        self._popularity = data.popularity

    def scores(self, queries: Queries) -> np.ndarray:
        scores = self._users[queries.user] @ self._items.T
        scores[~self._known[queries.user]] = self._popularity
        return scores


def ials(data: Dataset, seed: int) -> Factors:
    """Implicit ALS (Hu, Koren and Volinsky, ICDM 2008), 64 factors."""
    model = AlternatingLeastSquares(
        factors=_FACTORS, regularization=20.0, alpha=2.0, iterations=20, random_state=seed, use_gpu=False
    )
    return _fitted(model, data)


def bpr(data: Dataset, seed: int) -> Factors:
    """BPR matrix factorisation (Rendle et al., UAI 2009), 64 factors."""
    model = BayesianPersonalizedRanking(
        factors=_FACTORS, learning_rate=0.01, regularization=0.01, iterations=50, random_state=seed, use_gpu=False
    )
    return _fitted(model, data)


def _fitted(model, data: Dataset) -> Factors:
    with threadpoolctl.threadpool_limits(1, "blas"):  # implicit has threads of its own.
        model.fit(data.matrix, show_progress=False)
    return Factors(data, model.user_factors, model.item_factors)


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


def tfrs_tutorial(data: Dataset, seed: int) -> Factors:
    """The two-tower of the TensorFlow Recommenders tutorial "basic retrieval": ids only, 32 dimensions, Adagrad."""
    tf.keras.utils.set_random_seed(seed)
    model = TutorialModel(data.users, data.items)
    pairs = (
        tf.data.Dataset.from_tensor_slices({"user": data.train.user, "item": data.train.item})
        .shuffle(100_000, seed=seed)
        .batch(8192)
    )
    model.fit(pairs, epochs=3, verbose=0)
    return Factors(data, model.user_tower.embeddings.numpy(), model.item_tower.embeddings.numpy())
