"""The pipeline's own split as arrays: train rows, and the queries that all models answer."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.sparse
import tensorflow as tf

from components.evaluator.shards import chosen
from components.files import EVAL_SPLIT, ITEMS_SPLIT, TRAIN_SPLIT
from models import inputs
from models.features import names as f
from models.timelines import TEXT, WHOLE, Layout, last_of_users, read_timelines

FROZEN, LIVE = "frozen", "live"  # A query knows its user's train rows; or all that its user did before it.

_SHARE = 0.2  # Of the train rows that values are chosen on.
_MOST_CHOSEN_ON = 5_000
_SEED = 0


class Rows(NamedTuple):
    """Interactions, those of a user together and in order of time; [R] each."""

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray  # Unix seconds.

    def at(self, places: np.ndarray) -> Rows:
        return Rows(*(values[places] for values in self))


@dataclass(frozen=True, eq=False)
class Queries:
    """Q eval interactions: who wants which item when, and what is known of the user then.

    Attributes:
      history: FROZEN or LIVE.
      log: train and eval rows, a user's train rows first. The history of a query is begin to end of it.
      user, item, time, begin, end: [Q] each.
    """

    history: str
    log: Rows
    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    begin: np.ndarray
    end: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    def at(self, places: np.ndarray) -> Queries:
        """Some of the queries."""
        arrays = (values[places] for values in (self.user, self.item, self.time, self.begin, self.end))
        return Queries(self.history, self.log, *arrays)

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """[E] the query of each history entry, rising, and [E] the entry's row of the log."""
        lengths = self.end - self.begin
        query = np.repeat(np.arange(len(self)), lengths)
        offsets = np.cumsum(lengths) - lengths
        return query, np.arange(len(query)) + np.repeat(self.begin - offsets, lengths)

    def latest(self, length: int) -> np.ndarray:
        """[Q, H] rows of the log: the last entries that are not after the query, most recent first; -1 fills up."""
        query, place = self.entries()
        past = self.log.time[place] <= self.time[query]
        ends = self.begin + np.bincount(query[past], minlength=len(self))
        places = ends[:, np.newaxis] - 1 - np.arange(min(length, (ends - self.begin).max(initial=0)))
        return np.where(places >= self.begin[:, np.newaxis], places, -1)

    def repeated(self) -> np.ndarray:
        """[Q] whether the wanted item is in the history."""
        query, place = self.entries()
        return np.bincount(query[self.log.item[place] == self.item[query]], minlength=len(self)) > 0


@dataclass(frozen=True, eq=False)
class Dataset:
    """A split. Users and items are numbers below `users` and `items`.

    Attributes:
      users, items: how many there are, in both splits and in the catalogue.
      train: the train rows.
      asked: the same eval rows as queries, by what they know: FROZEN and, under `global_temporal`, LIVE.
      split: its kind.
      repeats: whether what is in the history may be the answer.
    """

    users: int
    items: int
    train: Rows
    asked: dict[str, Queries]
    split: str
    repeats: bool

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """[n] train rows of each item."""
        return np.bincount(self.train.item, minlength=self.items)

    @functools.cached_property
    def popularity(self) -> np.ndarray:
        """[n] float32 popularity of the items, from 0 to below 1."""
        return (self.counts / (self.counts.max() + 1)).astype(np.float32)

    @functools.cached_property
    def matrix(self) -> scipy.sparse.csr_matrix:
        """[U, n] float32, 1 where the user has the item in train."""
        pairs = scipy.sparse.coo_matrix(
            (np.ones(len(self.train.user), np.float32), self.train[:2]), (self.users, self.items)
        ).tocsr()
        pairs.data[:] = 1  # A pair that occurs twice counts once.
        return pairs

    @functools.cached_property
    def validation(self) -> Dataset:
        """The train rows as a data set of their own: a fifth of them, divided off as eval rows are, is asked."""
        held_out = self._held_out()
        chosen = np.flatnonzero(held_out)
        if len(chosen) > _MOST_CHOSEN_ON:
            chosen = np.sort(np.random.default_rng(_SEED).choice(chosen, _MOST_CHOSEN_ON, replace=False))
        places = (np.cumsum(held_out) - 1)[chosen]
        train, rest = self.train.at(~held_out), self.train.at(held_out)
        return Dataset(
            self.users, self.items, train, as_queries(train, rest, places, [*self.asked]), self.split, self.repeats
        )

    def _held_out(self) -> np.ndarray:
        """[R] which train rows the validation part asks for."""
        user, _, time = self.train
        if self.split == "random":
            return np.random.default_rng(_SEED).random(len(user)) < _SHARE
        if self.split == "global_temporal":
            held_out = np.zeros(len(user), bool)
            held_out[np.argsort(time, kind="stable")[int(len(time) * (1 - _SHARE)) :]] = True
            return held_out
        return last_of_users(np.append(0, np.cumsum(np.bincount(user))), _SHARE)


def as_queries(train: Rows, held_out: Rows, chosen: np.ndarray, histories: list[str]) -> dict[str, Queries]:
    """Some rows as queries, by what they know of their user.

    Args:
      train: what a FROZEN history holds; no row is after a held-out one of its user, but for those of random splits.
      held_out: what a LIVE history also holds, as far as it is before the query.
      chosen: [Q] places of the queries in `held_out`.
      histories: some of FROZEN and LIVE.
    """
    joined = Rows(*(np.concatenate(both) for both in zip(train, held_out, strict=True)))
    order = np.argsort(joined.user, kind="stable")
    log, place = joined.at(order), np.empty_like(order)
    place[order] = np.arange(len(order))
    asked = held_out.at(chosen)
    begin = np.searchsorted(log.user, asked.user)
    in_train = np.searchsorted(train.user, asked.user, "right") - np.searchsorted(train.user, asked.user)
    ends = {FROZEN: begin + in_train, LIVE: place[len(train.user) + chosen]}
    return {name: Queries(name, log, *asked, begin, ends[name]) for name in histories}


class Loaded(NamedTuple):
    """A data set, and what its numbers stand for.

    Attributes:
      item_ids: [n] bytes.
      places: [Q] of the queries among the eval rows, as the files have them.
    """

    data: Dataset
    item_ids: np.ndarray
    places: np.ndarray


def load_dataset(examples_uri: str, items_uri: str, split: str, repeats: bool, max_queries: int) -> Loaded:
    """Reads InteractionGen's and ItemGen's examples; asks about the same users as the Evaluator."""
    spec = {f.ITEM_ID: tf.io.FixedLenFeature([], tf.string)}
    items = np.unique(inputs.read_columns([os.path.join(items_uri, f"Split-{ITEMS_SPLIT}", "*")], spec)[f.ITEM_ID])
    known, asked = (_read(os.path.join(examples_uri, f"Split-{name}", "*")) for name in (TRAIN_SPLIT, EVAL_SPLIT))
    users = np.unique(np.concatenate([known.user, asked.user]))
    of_evaluator = chosen(users.tolist(), np.searchsorted(users, asked.user), max_queries)
    grouped, orders = [], []
    for rows in (known, asked):
        rows = Rows(np.searchsorted(users, rows.user), np.searchsorted(items, rows.item), rows.time)
        orders.append(np.argsort(rows.user, kind="stable"))
        grouped.append(rows.at(orders[-1]))
    train, held_out = grouped
    places = np.flatnonzero(of_evaluator[held_out.user])
    histories = [FROZEN, LIVE] if split == "global_temporal" else [FROZEN]
    queries = as_queries(train, held_out, places, histories)
    return Loaded(Dataset(len(users), len(items), train, queries, split, repeats), items, orders[1][places])


def _read(files: str) -> Rows:
    timelines = read_timelines([files], Layout({f.USER_ID: TEXT}, {f.ITEM_ID: TEXT, f.TIMESTAMP: WHOLE}))
    users = timelines.users[f.USER_ID][timelines.user_of_rows()]
    return Rows(users, timelines.rows[f.ITEM_ID], timelines.rows[f.TIMESTAMP])
