"""Ranks of relevant movies, in lists and under popularity. Plain numpy."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np


def list_ranks(ids: Sequence[bytes], scores: np.ndarray, relevant: Collection[bytes]) -> np.ndarray:
    """The rank of each relevant movie in a list, from 1; infinite where it is not in the list.

    Equal scores share their middle rank. A tie that reaches the end of the list may go on beyond it, so its members
    count as not found: ties never help.

    Args:
      ids: [N] movie ids, best first; "" fills a short list up.
      scores: [N], falling.
      relevant: the movies to look for.
    """
    length = next((i for i, movie in enumerate(ids) if not movie), len(ids))
    position = {movie: i for i, movie in enumerate(ids[:length])}
    ranks = []
    for movie in relevant:
        i = position.get(movie)
        if i is None:
            ranks.append(np.inf)
            continue
        first = last = i
        while first > 0 and scores[first - 1] == scores[i]:
            first -= 1
        while last + 1 < length and scores[last + 1] == scores[i]:
            last += 1
        open_ended = last > first and last + 1 == len(ids)
        ranks.append(np.inf if open_ended else 1 + (first + last) / 2)
    return np.array(ranks, float)


class Popularity:
    """The baseline that orders movies by their number of train interactions.

    Args:
      counts: train interactions of each movie; a movie without any may be left out.
      movies: size of the catalogue.
    """

    def __init__(self, counts: Mapping[bytes, int], movies: int):
        self._counts = counts
        self._movies = movies
        self._falling = np.sort(np.array(list(counts.values()), np.int64))[::-1]

    def counts_of(self, movies: Collection[bytes]) -> np.ndarray:
        """The counts of these movies, rising: what `rank` takes as excluded."""
        return np.sort(np.array([self._counts.get(movie, 0) for movie in movies], np.int64))

    def level(self, movie: bytes, head_share: float, tail_share: float) -> str:
        """`never rated`, or where the movie stands among the rated ones: `head`, `middle` or `tail`."""
        count = self._counts.get(movie, 0)
        if not count:
            return "never rated"
        rated = len(self._falling)
        if count >= self._falling[int(rated * head_share)]:
            return "head"
        return "tail" if count <= self._falling[int(rated * (1 - tail_share))] else "middle"

    def rank(self, movie: bytes, excluded_counts: np.ndarray) -> float:
        """The middle rank of a movie, from 1, when others with these (rising) counts are left out."""
        count = self._counts.get(movie, 0)
        above = np.searchsorted(-self._falling, -count, side="left")
        not_below = np.searchsorted(-self._falling, -count, side="right") if count else self._movies
        excluded_above = len(excluded_counts) - np.searchsorted(excluded_counts, count, side="right")
        excluded_not_below = len(excluded_counts) - np.searchsorted(excluded_counts, count, side="left")
        first, last = above - excluded_above + 1, not_below - excluded_not_below
        return float(first + last) / 2
