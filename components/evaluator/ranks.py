"""Ranks of relevant items in lists, and how popular items are. Plain numpy."""

from __future__ import annotations

import numpy as np

_HEAD_SHARE = (
    0.1  # The most popular tenth of the items with interactions is the head; the less popular half is the tail.
)
_TAIL_SHARE = 0.5
POPULARITY_LEVELS = ("never rated", "tail", "middle", "head")

NOTHING = -1  # The row of no item, which fills short lists up.


def list_ranks(items: np.ndarray, scores: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """[n, R] ranks of each query's relevant items in its list, from 1; infinite where not in the list.

    Equal scores share their middle rank. A tie that reaches the end of the list may go on beyond it, so its members
    count as not found: ties never help.

    Args:
      items: [n, N] rows of a catalogue, best first; -1 fills a short list up.
      scores: [n, N], falling.
      relevant: [n, R] the items to look for.
    """
    length = items.shape[1]
    if not length:
        return np.full(relevant.shape, np.inf)
    filled = (items != NOTHING)[:, np.newaxis, :]
    found = (relevant[:, :, np.newaxis] == items[:, np.newaxis, :]) & filled
    position = found.argmax(axis=2)
    score = np.take_along_axis(scores, position, axis=1)
    tied = (scores[:, np.newaxis, :] == score[:, :, np.newaxis]) & filled
    first, count = tied.argmax(axis=2), tied.sum(axis=2)
    open_ended = (count > 1) & (first + count == length)
    return np.where(found.any(axis=2) & ~open_ended, first + (count + 1) / 2, np.inf)


def popularity_levels(counts: np.ndarray) -> np.ndarray:
    """[n] places in `POPULARITY_LEVELS` of items by their train interactions, among those that have any."""
    rising = np.sort(counts[counts > 0])
    if not len(rising):
        return np.zeros(len(counts), int)
    head = rising[-1 - int(len(rising) * _HEAD_SHARE)]
    tail = rising[-1 - int(len(rising) * (1 - _TAIL_SHARE))]
    return np.where(counts == 0, 0, np.where(counts >= head, 3, np.where(counts <= tail, 1, 2)))
