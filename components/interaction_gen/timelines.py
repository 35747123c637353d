"""A shard's interactions to timelines: order, duplicates, split, and examples of bounded length. Plain numpy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from components.interaction_gen.settings import Split
from components.tables.parsing import FILE, LINE
from models.features import names as n
from models.features.kinds import Feature

LONGEST = 4096  # Entries of an example: a longer timeline is cut.


class Ordered(NamedTuple):
    """Rows by user, time and place in the source: a total order. [R] each.

    Attributes:
      rows: the table.
      user: places of users in `users`, rising.
      users: their ids, rising.
      time: Unix seconds.
    """

    rows: pa.Table
    user: np.ndarray
    users: pa.Array
    time: np.ndarray

    def filter(self, mask: np.ndarray) -> Ordered:
        """Some of the rows."""
        return Ordered(self.rows.filter(pa.array(mask)), self.user[mask], self.users, self.time[mask])


def order(rows: pa.Table) -> Ordered:
    """Sorts rows."""
    codes, users = _codes(rows[n.USER_ID])
    time, file, line = (rows[name].to_numpy() for name in (n.TIMESTAMP, FILE, LINE))
    by = np.lexsort((line, file, time, codes))
    return Ordered(rows.take(pa.array(by)).combine_chunks(), codes[by], users, time[by])


def duplicates(ordered: Ordered) -> np.ndarray:
    """[R] the place of the earlier row of the same user, item and second; -1 where there is none."""
    items, _ = _codes(ordered.rows[n.ITEM_ID])
    by = np.lexsort((np.arange(len(items)), items, ordered.time, ordered.user))
    keys = np.stack([ordered.user[by], ordered.time[by], items[by]])
    new = np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0))[: len(by)]
    first = by[np.maximum.accumulate(np.where(new, np.arange(len(by)), 0))]
    found = np.full(len(by), -1)
    found[by] = np.where(new, -1, first)
    return found


def eval_mask(ordered: Ordered, split: Split, cut: int | None) -> np.ndarray:
    """[R] which rows are eval rows; `cut`: of `global_temporal`, the second from which on they are."""
    if split.kind == "random":
        return _uniform(ordered, split.seed) < split.eval_share
    if split.kind == "global_temporal":
        return ordered.time >= cut
    counts = np.bincount(ordered.user, minlength=len(ordered.users))
    starts = np.cumsum(counts) - counts
    train = counts - (counts * split.eval_share + 0.5).astype(int)
    return np.arange(len(ordered.user)) - starts[ordered.user] >= train[ordered.user]


def examples(
    ordered: Ordered, features: Mapping[str, Feature], history_length: int
) -> tuple[dict[str, pa.Array], np.ndarray]:
    """One example a user, or several of a long timeline, of which each begins with the last entries of the one before.

    Args:
      ordered: rows.
      features: by name, those that become parallel lists.
      history_length: how many entries an example repeats.

    Returns:
      the lists and `overlap` as columns, and [E] the place of each example's user in `ordered.users`.
    """
    counts = np.bincount(ordered.user, minlength=len(ordered.users))
    starts = np.cumsum(counts) - counts
    own = max(1, LONGEST - history_length)  # New entries of each further example.
    pieces = np.where(counts > 0, 1 + np.maximum(0, -(-(counts - LONGEST) // own)), 0)
    user = np.repeat(np.arange(len(counts)), pieces)
    number = np.arange(len(user)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = np.where(number > 0, LONGEST + (number - 1) * own, 0)
    end = np.minimum(np.where(number > 0, begin + own, LONGEST), counts[user])
    overlap = np.where(number > 0, np.minimum(history_length, begin), 0)
    lengths = end - begin + overlap
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    places = np.arange(offsets[-1]) + np.repeat((starts[user] + begin - overlap) - offsets[:-1], lengths)
    taken = ordered.rows.select([*features]).take(pa.array(places)).combine_chunks()
    offsets = pa.array(offsets, pa.int32())
    columns = {}
    for name, feature in features.items():
        values = taken[name].combine_chunks()
        columns[name] = pa.ListArray.from_arrays(offsets, values.fill_null(pa.scalar(feature.missing, values.type)))
    return columns | {n.OVERLAP: pa.array(overlap, pa.int64())}, user


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Texts to their places among the distinct ones, which rise."""
    encoded = column.combine_chunks().dictionary_encode()
    by = np.argsort(encoded.dictionary.to_numpy(zero_copy_only=False), kind="stable")
    place = np.empty(len(by), np.int64)
    place[by] = np.arange(len(by))
    return place[encoded.indices.to_numpy()], encoded.dictionary.take(pa.array(by))


def _uniform(ordered: Ordered, seed: int) -> np.ndarray:
    """[R] numbers from 0 to 1 that only seed, user, item and second decide, whatever the order of the files."""
    items, names = _codes(ordered.rows[n.ITEM_ID])
    mixed = _hashes(ordered.users, f"{seed}|user")[ordered.user] + _hashes(names, f"{seed}|item")[items]
    mixed += ordered.time.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # splitmix64 (Steele et al., 2014).
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))) / 2.0**64


def _hashes(texts: pa.Array, salt: str) -> np.ndarray:
    digests = [hashlib.blake2b(f"{salt}|{text}".encode(), digest_size=8).digest() for text in texts.to_pylist()]
    return np.frombuffer(b"".join(digests), np.uint64) if digests else np.zeros(0, np.uint64)
