"""What is known of users at the end of training, as arrays."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from models import inputs
from models.features import declared as f
from models.features.declared import Kind, Side


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


def load_users(files: Collection[str], user_fields: Collection[str]) -> Users:
    """Reads them from InteractionGen's train examples."""
    columns = inputs.read_columns(files, _spec(user_fields))
    ids, user = np.unique(columns[f.USER_ID.name], return_inverse=True)
    order = np.lexsort((columns[f.ITEM_ID.name], -columns[f.TIMESTAMP.name], user))
    counts = np.bincount(user, minlength=len(ids))
    last_row = np.full(len(ids), -1)
    last_row[user] = np.arange(len(user))
    fields = {}
    for name in user_fields:
        values = columns[name]
        missing = np.array([np.nan if values.dtype.kind == "f" else b""], dtype=values.dtype)
        fields[name] = np.concatenate([values[last_row], missing])
    return Users(
        ids=ids,
        starts=np.concatenate([[0], np.cumsum(counts), [len(user)]]),
        items=columns[f.ITEM_ID.name][order],
        timestamps=columns[f.TIMESTAMP.name][order],
        fields=fields,
    )


def optional_fields(raw_names: Collection[str]) -> list[str]:
    """The optional query features among `raw_names`."""
    return [
        feature.name
        for feature in f.features_on_side(f.FEATURES, Side.QUERY)
        if feature.optional and feature.name in raw_names
    ]


def _spec(user_fields: Collection[str]) -> dict[str, tf.io.FixedLenFeature]:
    spec = {
        f.USER_ID.name: tf.io.FixedLenFeature([], tf.string),
        f.ITEM_ID.name: tf.io.FixedLenFeature([], tf.string),
        f.TIMESTAMP.name: tf.io.FixedLenFeature([], tf.int64),
    }
    for feature in f.FEATURES:
        if feature.name in user_fields:
            missing = (tf.float32, np.nan) if feature.kind is Kind.NUMBER else (tf.string, "")
            spec[feature.name] = tf.io.FixedLenFeature([], *missing)
    return spec
