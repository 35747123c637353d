"""The pipeline's own split, as arrays for the baselines."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import tensorflow as tf

from pipeline.inputs import read_columns

_RAW_SPEC = {
    "user_id": tf.io.FixedLenFeature([], tf.string),
    "movie_id": tf.io.FixedLenFeature([], tf.string),
    "timestamp": tf.io.FixedLenFeature([], tf.int64),
}


@dataclass(frozen=True)
class Dataset:
    """A split. Users and movies are rows of `users` and `movies`; movies hold the whole catalogue.

    Attributes:
      users: [U] bytes, of both splits.
      movies: [n] bytes.
      train: [U, n] sparse, 1 where the user has the movie in train.
      train_pairs: users and movies of the train interactions, [R] each, in no order.
      eval_users: [Q] the user of each eval interaction, in order of user and time.
      eval_movies: [Q] its movie.
    """

    users: np.ndarray
    movies: np.ndarray
    train: scipy.sparse.csr_matrix
    train_pairs: tuple[np.ndarray, np.ndarray]
    eval_users: np.ndarray
    eval_movies: np.ndarray

    @property
    def warm(self) -> np.ndarray:
        """[Q] whether the query's user has any train interaction."""
        return np.diff(self.train.indptr)[self.eval_users] > 0


def load_dataset(examples_uri: str, catalogue_uri: str) -> Dataset:
    """Reads InteractionGen's and CatalogueGen's examples."""
    train, held_out = (
        read_columns([os.path.join(examples_uri, f"Split-{split}", "*")], _RAW_SPEC) for split in ("train", "eval")
    )
    movie_spec = {"movie_id": _RAW_SPEC["movie_id"]}
    movies = np.unique(read_columns([os.path.join(catalogue_uri, "Split-catalogue", "*")], movie_spec)["movie_id"])
    users = np.unique(np.concatenate([train["user_id"], held_out["user_id"]]))
    user, movie = np.searchsorted(users, train["user_id"]), np.searchsorted(movies, train["movie_id"])
    matrix = scipy.sparse.coo_matrix((np.ones(len(user), np.float32), (user, movie)), (len(users), len(movies))).tocsr()
    matrix.data[:] = 1  # A pair that occurs twice counts once.
    eval_users = np.searchsorted(users, held_out["user_id"])
    order = np.lexsort((held_out["timestamp"], eval_users))
    eval_movies = np.searchsorted(movies, held_out["movie_id"])
    return Dataset(users, movies, matrix, (user, movie), eval_users[order], eval_movies[order])
