"""What is known of users at the end of training, as arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models import inputs
from models.features import names as f
from models.features.kinds import Feature


@dataclass(frozen=True)
class Users:
    """Users with their train interactions, grouped by user and the most recent first.

    Attributes:
      ids: [U] bytes.
      starts: [U + 2] int64; user u's interactions are rows starts[u] to starts[u + 1], and row U is an unknown user's.
      items: [R] bytes, item ids.
      timestamps: [R] int64.
      fields: the optional features the data has, [U + 1] each; "" or NaN where missing, as for the unknown user.
    """

    ids: np.ndarray
    starts: np.ndarray
    items: np.ndarray
    timestamps: np.ndarray
    fields: dict[str, np.ndarray]


def load_users(files: Collection[str], features: Mapping[str, Feature]) -> Users:
    """Reads them from InteractionGen's train examples."""
    columns = inputs.read_columns(files, _spec(features))
    ids, user = np.unique(columns[f.USER_ID], return_inverse=True)
    order = np.lexsort((columns[f.ITEM_ID], -columns[f.TIMESTAMP], user))
    counts = np.bincount(user, minlength=len(ids))
    last_row = np.full(len(ids), -1)
    last_row[user] = np.arange(len(user))
    fields = {}
    for name, feature in features.items():
        values = columns[name]
        missing = np.array([feature.missing], dtype=values.dtype)
        fields[name] = np.concatenate([values[last_row], missing])
    return Users(
        ids=ids,
        starts=np.concatenate([[0], np.cumsum(counts), [len(user)]]),
        items=columns[f.ITEM_ID][order],
        timestamps=columns[f.TIMESTAMP][order],
        fields=fields,
    )


def _spec(features: Mapping[str, Feature]) -> dict[str, tf.io.FixedLenFeature]:
    return {
        f.USER_ID: tf.io.FixedLenFeature([], tf.string),
        f.ITEM_ID: tf.io.FixedLenFeature([], tf.string),
        f.TIMESTAMP: tf.io.FixedLenFeature([], tf.int64),
        **{name: feature.scalar_spec() for name, feature in features.items()},
    }
