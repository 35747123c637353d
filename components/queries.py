"""Raw timelines as requests to a servable."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import tensorflow as tf

from components.tables import shards
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.queries import Queries
from models.timelines import Layout, Timelines, raw_layout, read_timelines


def first_files(split_uri: str, rows: int) -> list[str]:
    """Names of the first files of a split that together have so many interactions."""
    names, found = [], 0
    for name, path in shards.paths(split_uri).items():
        if found < rows:
            names.append(name)
            found += len(read_timelines([path], Layout({}, {})))
    return names


def read_queries(train: Collection[str], asked: Collection[str], features: FeatureSet) -> tuple[Queries, Timelines]:
    """The eval rows of some files as raw queries, and what their users had in train.

    Args:
      train, asked: patterns of InteractionGen's files, which have the same names in both splits.
      features: of the data set.
    """
    layout = raw_layout(features)
    known = read_timelines(train, layout)
    return Queries(known, features.histories, read_timelines(asked, layout)), known


def request(batch: dict[str, tf.Tensor], features: FeatureSet) -> dict[str, tf.Tensor]:
    """The inputs of `recommend` for a batch of raw queries."""
    names = (f.USER_ID, f.TIMESTAMP, f.HISTORY_ITEM_ID, f.HISTORY_TIMESTAMP, *features.context)
    return {name: batch[name] for name in names}


def ask(model, signature: str, inputs: dict[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """A signature's answers."""
    return {name: values.numpy() for name, values in model.signatures[signature](**inputs).items()}


class MeasuredServable:
    """A servable that is asked for both of its lists, and for what it predicts of one item.

    Args:
      model: the servable.
      ids: [n] bytes; lists are given as rows of these, with -1 for what fills them up and -2 for other items.
    """

    def __init__(self, model, ids: np.ndarray):
        self._measure = model.measure
        row_of = {item: row for row, item in enumerate(ids.tolist())} | {b"": -1}
        self._rows = np.array([row_of.get(item, -2) for item in model.ids.numpy().tolist()])

    def __call__(self, query: dict[str, tf.Tensor], item_id: tf.Tensor) -> dict[str, np.ndarray]:
        """`Recommender.measure`'s answers to a request, of [B] items."""
        found = self._measure(query, item_id)
        answers = {name: values.numpy() for name, values in found.items()}
        return answers | {name: self._rows[answers[name]] for name in ("retrieved", "recommended")}


def assume(model, train: Timelines) -> None:
    """Makes a servable know the train rows of these users, and no other row of anybody."""
    latest_first = slice(None, None, -1)
    users = train.users[f.USER_ID][train.user_of_rows()]
    model.assume(
        user_id=tf.constant(users[latest_first], tf.string),
        item_id=tf.constant(train.rows[f.ITEM_ID][latest_first], tf.string),
        timestamp=tf.constant(train.rows[f.TIMESTAMP][latest_first], tf.int64),
    )
