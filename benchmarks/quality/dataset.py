"""The pipeline's own split, as arrays for the baselines."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import tensorflow as tf

from models.inputs import read_columns

_RAW_SPEC = {
    "user_id": tf.io.FixedLenFeature([], tf.string),
    "item_id": tf.io.FixedLenFeature([], tf.string),
    "timestamp": tf.io.FixedLenFeature([], tf.int64),
}


@dataclass(frozen=True)
class Dataset:
    """A split. Users and items are rows of `users` and `items`; items hold the whole catalogue.

    Attributes:
      users: [U] bytes, of both splits.
      items: [n] bytes.
      train: [U, n] sparse, 1 where the user has the item in train.
      train_pairs: users and items of the train interactions, [R] each, in no order.
      eval_users: [Q] the user of each eval interaction, in order of user and time.
      eval_items: [Q] its item.
    """

    users: np.ndarray
    items: np.ndarray
    train: scipy.sparse.csr_matrix
    train_pairs: tuple[np.ndarray, np.ndarray]
    eval_users: np.ndarray
    eval_items: np.ndarray

    @property
    def warm(self) -> np.ndarray:
        """[Q] whether the query's user has any train interaction."""
        return np.diff(self.train.indptr)[self.eval_users] > 0


def load_dataset(examples_uri: str, items_uri: str) -> Dataset:
    """Reads InteractionGen's and ItemGen's examples."""
    train, eval_rows = (
        read_columns([os.path.join(examples_uri, f"Split-{split}", "*")], _RAW_SPEC) for split in ("train", "eval")
    )
    item_spec = {"item_id": _RAW_SPEC["item_id"]}
    items = np.unique(read_columns([os.path.join(items_uri, "Split-items", "*")], item_spec)["item_id"])
    users = np.unique(np.concatenate([train["user_id"], eval_rows["user_id"]]))
    user, item = np.searchsorted(users, train["user_id"]), np.searchsorted(items, train["item_id"])
    matrix = scipy.sparse.coo_matrix((np.ones(len(user), np.float32), (user, item)), (len(users), len(items))).tocsr()
    matrix.data[:] = 1  # A pair that occurs twice counts once.
    eval_users = np.searchsorted(users, eval_rows["user_id"])
    order = np.lexsort((eval_rows["timestamp"], eval_users))
    eval_items = np.searchsorted(items, eval_rows["item_id"])
    return Dataset(users, items, matrix, (user, item), eval_users[order], eval_items[order])
