"""The pipeline's own split, as arrays for the baselines."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import tensorflow as tf

from components.files import ITEMS_SPLIT, SPLITS
from models import inputs
from models.features import names as f
from models.timelines import TEXT, Layout, read_timelines


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
      repeats: whether what a user had in train may be the answer.
    """

    users: np.ndarray
    items: np.ndarray
    train: scipy.sparse.csr_matrix
    train_pairs: tuple[np.ndarray, np.ndarray]
    eval_users: np.ndarray
    eval_items: np.ndarray
    repeats: bool = False

    @property
    def warm(self) -> np.ndarray:
        """[Q] whether the query's user has any train interaction."""
        return np.diff(self.train.indptr)[self.eval_users] > 0


def load_dataset(examples_uri: str, items_uri: str, repeats: bool) -> Dataset:
    """Reads InteractionGen's and ItemGen's examples."""
    (train_users, train_items), (asked_users, asked_items) = (
        _pairs(os.path.join(examples_uri, f"Split-{split}", "*")) for split in SPLITS
    )
    spec = {f.ITEM_ID: tf.io.FixedLenFeature([], tf.string)}
    items = np.unique(inputs.read_columns([os.path.join(items_uri, f"Split-{ITEMS_SPLIT}", "*")], spec)[f.ITEM_ID])
    users = np.unique(np.concatenate([train_users, asked_users]))
    user, item = np.searchsorted(users, train_users), np.searchsorted(items, train_items)
    matrix = scipy.sparse.coo_matrix((np.ones(len(user), np.float32), (user, item)), (len(users), len(items))).tocsr()
    matrix.data[:] = 1  # A pair that occurs twice counts once.
    eval_users = np.searchsorted(users, asked_users)
    order = np.argsort(eval_users, kind="stable")
    eval_items = np.searchsorted(items, asked_items)
    return Dataset(users, items, matrix, (user, item), eval_users[order], eval_items[order], repeats)


def _pairs(files: str) -> tuple[np.ndarray, np.ndarray]:
    """User and item of each interaction, each user's in order of time."""
    timelines = read_timelines([files], Layout({f.USER_ID: TEXT}, {f.ITEM_ID: TEXT}))
    return timelines.users[f.USER_ID][timelines.user_of_rows()], timelines.rows[f.ITEM_ID]
