"""Timelines to batches of queries: user, moment, history, context. For training, evaluation and parity alike."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from models import inputs
from models.features import names as f
from models.features.feature_set import Histories
from models.timelines import Timelines


class Queries:
    """Interactions as queries, each with what its user did in train.

    A history holds train rows only, the most recent first, never the row itself and, unless items repeat, never the
    same item again. It ends before the row, or, where rows are held out at random, it holds the nearest in time of both
    sides.

    Args:
      train: what histories are made of.
      rule: of the histories.
      asked: the rows that are queries; None: those of train. Its users are found in train by their `user_id`.
    """

    def __init__(self, train: Timelines, rule: Histories, asked: Timelines | None = None):
        self._rule = rule
        own = asked if asked is not None else train
        user = own.user_of_rows()
        begin, end = train.starts[:-1], train.starts[1:]
        self._earlier = None  # Of rows that are not in train, how many train rows come before each.
        if asked is not None:
            known = {name: place for place, name in enumerate(train.users[f.USER_ID].tolist())}
            places = np.array([known.get(name, -1) for name in asked.users[f.USER_ID].tolist()], int)
            begin, end = (np.append(of, 0)[places] for of in (begin, end))  # Unknown users have no rows.
            earlier = _earlier(train, begin[user], end[user], own.rows[f.TIMESTAMP]) if rule.both_sides else end[user]
            self._earlier = tf.constant(earlier)
        self.asked = own
        self.user = user  # [rows] places of the rows' users in `asked`.
        self.rows = len(own)
        self.train_rows = (end - begin)[user]  # [rows] how many train rows the query's user has.
        self._begin, self._end, self._user = map(tf.constant, (begin, end, user))
        self._users = {name: tf.constant(values) for name, values in own.users.items()}
        self._own = {name: tf.constant(values) for name, values in own.rows.items()}
        self._items, self._times = (tf.constant(train.rows[name]) for name in (f.ITEM_ID, f.TIMESTAMP))

    def at(self, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """The queries of [B] rows.

        Returns:
          what users and rows have, [B] or [B, L], and `history_item_id` and `history_timestamp`, [B, H], filled up with
          padding or "", and 0.
        """
        user = tf.gather(self._user, rows)
        batch = inputs.gathered(self._users, user) | inputs.gathered(self._own, rows)
        places = self._history(rows, user, batch[f.TIMESTAMP])
        items = tf.gather(self._items, tf.maximum(places, 0))
        there = places >= 0
        if not self._rule.repeats:
            there &= items != batch[f.ITEM_ID][:, tf.newaxis]
        return batch | {
            f.HISTORY_ITEM_ID: tf.where(there, items, inputs.padding(items.dtype)),
            f.HISTORY_TIMESTAMP: tf.where(there, tf.gather(self._times, tf.maximum(places, 0)), 0),
        }

    def _history(self, rows: tf.Tensor, user: tf.Tensor, moments: tf.Tensor) -> tf.Tensor:
        """[B, H] train rows of the histories, the most recent first; -1 fills up."""
        past = rows if self._earlier is None else tf.gather(self._earlier, rows)
        after = past + 1 if self._earlier is None else past
        begin, end = tf.gather(self._begin, user), tf.gather(self._end, user)
        begin, end, past, after = (of[:, tf.newaxis] for of in (begin, end, past, after))
        length = tf.constant(self._rule.known, tf.int64)
        most = end - begin if self._rule.both_sides else past - begin
        steps = tf.range(tf.minimum(length, tf.reduce_max(tf.concat([most, [[0]]], 0))))
        before = past - 1 - steps
        before = tf.where(before >= begin, before, -1)
        if not self._rule.both_sides:
            return before
        later = after + steps
        both = tf.concat([before[:, ::-1], tf.where(later < end, later, -1)], axis=1)  # In order of time.
        distance = tf.abs(tf.gather(self._times, tf.maximum(both, 0)) - moments[:, tf.newaxis])
        distance = tf.where(both >= 0, distance, tf.int64.max)
        nearest = tf.math.top_k(-distance, tf.size(steps)).indices  # Of equal ones the earliest.
        return tf.sort(tf.gather(both, nearest, batch_dims=1), direction="DESCENDING")


def _earlier(train: Timelines, begin: np.ndarray, end: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """[Q] how many train rows come before the first of the user's, begin to end, that is not before the moment."""
    low, high = begin.copy(), end.copy()
    times = train.rows[f.TIMESTAMP]
    while (open_ := low < high).any():
        middle = np.where(open_, (low + high) // 2, 0)
        before = open_ & (times[np.minimum(middle, len(times) - 1)] < moments)
        low, high = np.where(before, middle + 1, low), np.where(open_ & ~before, middle, high)
    return low


def model_batch(batch: dict[str, tf.Tensor]) -> inputs.Batch:
    """Queries of transformed timelines as model features: with the distances in time instead of the times."""
    times = batch[f.HISTORY_TIMESTAMP]
    rest = {name: values for name, values in batch.items() if name not in (f.TIMESTAMP, f.HISTORY_TIMESTAMP)}
    return rest | {f.HISTORY_GAP: inputs.gaps(batch[f.TIMESTAMP], times)}


def shuffled(
    queries: Queries, batch_size: int, epochs: int, seed: int, rows: np.ndarray | None = None
) -> tf.data.Dataset:
    """Batches of model features, all rows in another order in each epoch; the rows that fill no batch are left out.

    Args:
      queries: what batches are made of.
      batch_size: B.
      epochs: how often each row comes.
      seed: of the order.
      rows: those that come in an epoch; None: all.
    """
    number = queries.rows if rows is None else len(rows)
    steps = number // batch_size
    chosen = None if rows is None else tf.constant(rows, tf.int64)

    def batch(step: tf.Tensor) -> inputs.Batch:
        places = step % steps * batch_size + tf.range(batch_size, dtype=tf.int64)
        key = tf.stack([tf.constant(seed, tf.int64), step // steps])
        places = tf.random.experimental.index_shuffle(places, key, tf.constant(number - 1, tf.int64))
        return model_batch(queries.at(places if chosen is None else tf.gather(chosen, places)))

    batches = tf.data.Dataset.range(steps * epochs).map(batch, tf.data.AUTOTUNE).prefetch(2)
    return batches.with_options(inputs.data_options())


def in_order(queries: Queries, batch_size: int, most: int | None = None) -> tf.data.Dataset:
    """Batches of model features, at most so many rows, from the first."""
    rows = tf.data.Dataset.range(min(queries.rows, queries.rows if most is None else most)).batch(batch_size)
    return rows.map(lambda some: model_batch(queries.at(some))).prefetch(1).with_options(inputs.data_options())
