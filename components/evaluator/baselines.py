"""Ranks of the eval rows' items under what is simple: popularity, recent popularity, the user's own history.

Plain numpy over items as rows of the catalogue. Equal items share their middle rank, so ties never help.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_DAY = 86_400
WINDOWS = (7, 14, 30, 90, 365)  # Days that recent popularity may count.
_CHOSEN_ON = 20_000  # Train rows that decide which.


class Interactions(NamedTuple):
    """Rows grouped by user, the earliest first; [R] each."""

    user: np.ndarray  # Rising.
    item: np.ndarray
    time: np.ndarray


class Ranks(NamedTuple):
    """[Q] ranks, from 1; infinite where what the user had is left out, and the item is among that."""

    unfiltered: np.ndarray  # Under popularity, nothing left out.
    popularity: np.ndarray
    recent_popularity: np.ndarray
    own_history: np.ndarray | None  # None unless items repeat.


class Counts:
    """Items by how often each occurs.

    Args:
      counts: [n] of each item.
    """

    def __init__(self, counts: np.ndarray):
        self._counts = counts
        self._rising = np.sort(counts[counts > 0])
        self._zeros = len(counts) - len(self._rising)

    def ranks(self, items: np.ndarray, without: np.ndarray) -> np.ndarray:
        """Middle ranks of items where those of `without`, each once, are left out."""
        own, left_out = self._counts[items], np.sort(self._counts[without])
        above = len(self._rising) - np.searchsorted(self._rising, own, "right")
        not_below = np.where(own, len(self._rising) - np.searchsorted(self._rising, own, "left"), len(self._counts))
        above -= len(left_out) - np.searchsorted(left_out, own, "right")
        not_below -= len(left_out) - np.searchsorted(left_out, own, "left")
        return (above + 1 + not_below) / 2

    def ranks_but(self, items: np.ndarray, without: np.ndarray) -> np.ndarray:
        """As `ranks`, and infinite for what is left out itself."""
        return np.where(np.isin(items, without), np.inf, self.ranks(items, without))


def rank(train: Interactions, asked: Interactions, items: int, repeats: bool, k: int) -> tuple[Ranks, int]:
    """The ranks of all asked rows, and the days that recent popularity counts, which are chosen on train.

    Args:
      train, asked: by the same users' numbers.
      items: size of the catalogue.
      repeats: whether what a user had is left in.
      k: length of the list whose accuracy decides the days.
    """
    had = _Had(train)
    popular = Counts(np.bincount(train.item, minlength=items))
    nothing = np.zeros(0, np.int64)
    unfiltered = popular.ranks(asked.item, nothing)
    popularity, own = unfiltered.copy(), None
    if repeats:
        own = np.empty(len(asked.user))
        for user, rows in _by(asked.user):
            own[rows] = _own_ranks(popular, asked.item[rows], *had.of(user))
    else:
        for user, rows in _by(asked.user):
            popularity[rows] = popular.ranks_but(asked.item[rows], had.items_of(user))
    days = _best_window(train, items, k)
    recent = _recent_ranks(train, asked, items, days, None if repeats else had)
    return Ranks(unfiltered, popularity, recent, own), days


def _own_ranks(
    popular: Counts, items: np.ndarray, mine: np.ndarray, counts: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """Ranks where a user's items come first, by count and then by the last time, and then the popular ones."""
    ranks = len(mine) + popular.ranks(items, mine)
    for place, item in enumerate(items):
        own = np.flatnonzero(mine == item)
        if len(own):
            before = (counts > counts[own]) | ((counts == counts[own]) & (last > last[own]))
            equal = (counts == counts[own]) & (last == last[own])
            ranks[place] = before.sum() + (equal.sum() + 1) / 2
    return ranks


class _Had:
    """What each user had in train."""

    def __init__(self, train: Interactions):
        self._train = train

    def of(self, user: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distinct items, how often each, and its last time."""
        start, end = np.searchsorted(self._train.user, [user, user + 1])
        items, place, counts = np.unique(self._train.item[start:end], return_inverse=True, return_counts=True)
        last = np.zeros(len(items), np.int64)
        np.maximum.at(last, place, self._train.time[start:end])
        return items, counts, last

    def items_of(self, user: int) -> np.ndarray:
        start, end = np.searchsorted(self._train.user, [user, user + 1])
        return np.unique(self._train.item[start:end])


def _best_window(train: Interactions, items: int, k: int) -> int:
    """The days whose popularity finds most of the latest train rows within the first k, of which none is left out."""
    latest = np.sort(np.argsort(train.time, kind="stable")[-min(_CHOSEN_ON, len(train.time) // 5 + 1) :])
    asked = Interactions(train.user[latest], train.item[latest], train.time[latest])
    found = [(_recent_ranks(train, asked, items, days, None) <= k).mean() for days in WINDOWS]
    return WINDOWS[int(np.argmax(found))]


def _recent_ranks(train: Interactions, asked: Interactions, items: int, days: int, had: _Had | None) -> np.ndarray:
    """Ranks by the train rows of the days before the query's own; after the end of train, before that."""
    day = train.time // _DAY
    by_day = np.argsort(day, kind="stable")
    day, item = day[by_day], train.item[by_day]
    moments = np.minimum(asked.time // _DAY, day[-1] + 1)
    ranks = np.empty(len(asked.item))
    counts = np.zeros(items, np.int64)
    low = high = 0
    for moment, rows in _by(moments):
        until, since = np.searchsorted(day, [moment, moment - days])
        np.add.at(counts, item[high : max(until, high)], 1)
        np.subtract.at(counts, item[low : max(since, low)], 1)
        high, low = max(until, high), max(since, low)
        recent = Counts(counts.copy())
        if had is None:
            ranks[rows] = recent.ranks(asked.item[rows], np.zeros(0, np.int64))
            continue
        for user, places in _by(asked.user[rows]):
            of_user = rows[places]
            ranks[of_user] = recent.ranks_but(asked.item[of_user], had.items_of(user))
    return ranks


def _by(keys: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each distinct key, rising, with the rows that have it."""
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    yield from zip(distinct.tolist(), np.split(order, starts[1:]), strict=True)
