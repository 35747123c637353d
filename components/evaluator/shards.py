"""The eval split as the Evaluator asks about it: which rows, and how the simple baselines rank them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tfx.types import artifact, artifact_utils

from components.evaluator import baselines
from components.files import SPLITS
from components.tables import shards
from models.catalogue import Catalogue
from models.features import names as f
from models.timelines import TEXT, WHOLE, Layout, read_timelines

_COLUMNS = {name: WHOLE for name in (f.ITEM_ID, f.TIMESTAMP)}


class Split(NamedTuple):
    """Where a split's files are, by the same names."""

    raw: str
    transformed: str


def splits_of(inputs: Mapping[str, list[artifact.Artifact]]) -> list[Split]:
    """Train and eval of InteractionGen's `examples` and Transform's `transformed_examples`."""
    keys = ("examples", "transformed_examples")
    return [Split(*(artifact_utils.get_split_uri(inputs[key], split) for key in keys)) for split in SPLITS]


class Shard(NamedTuple):
    """The files of some users and, of the Q eval rows that are asked about, what is known beside."""

    train: str | None
    eval: str
    rows: np.ndarray  # [Q] their places in the file.
    ranks: baselines.Ranks


class Loaded(NamedTuple):
    """The eval split, and what its baselines were made of."""

    shards: list[Shard]
    item_counts: np.ndarray  # [n] train interactions of each item.
    days: int  # That recent popularity counts.


def load(
    train: Split,
    held_out: Split,
    catalogue: Catalogue,
    hidden: np.ndarray,
    repeats: bool,
    max_queries: int,
    k: int,
) -> Loaded:
    """Reads both splits as indices, chooses users by a hash so that about `max_queries` rows remain, and ranks those.

    Args:
      train, held_out: the splits.
      catalogue: the n items.
      hidden: [n] which of them are never recommended: rows about them are not asked, and no baseline recommends them.
      repeats: as `baselines.rank`.
      max_queries: rows that are asked about.
      k: length of the lists by which recent popularity is chosen.
    """
    users: dict[bytes, int] = {}
    known = _joined([_read(train, name, users, None) for name in shards.paths(train.raw)])
    held_out_paths = shards.paths(held_out.raw)
    every = [_read(held_out, name, users, catalogue) for name in held_out_paths]
    kept = chosen([*users], np.concatenate([one.user for one in every]), max_queries)
    rows = [np.flatnonzero(kept[one.user] & ~hidden[one.item]) for one in every]
    asked = _joined([baselines.Interactions(*(of[some] for of in one)) for one, some in zip(every, rows, strict=True)])
    shown = baselines.Interactions(*(of[~hidden[known.item]] for of in known))
    ranks, days = baselines.rank(shown, asked, len(catalogue), repeats, k)
    train_paths = shards.paths(train.raw)
    found, start = [], 0
    for (name, path), some in zip(held_out_paths.items(), rows, strict=True):
        part = slice(start, start + len(some))
        start = part.stop
        if len(some):
            of_shard = baselines.Ranks(*(None if of is None else of[part] for of in ranks))
            found.append(Shard(train_paths.get(name), path, some, of_shard))
    return Loaded(found, np.bincount(known.item, minlength=len(catalogue)), days)


def _read(split: Split, name: str, users: dict[bytes, int], catalogue: Catalogue | None) -> baselines.Interactions:
    """A file's rows; `users` numbers those that it has. The items of train are the catalogue's first."""
    ids = read_timelines([f"{split.raw}/{name}"], Layout({f.USER_ID: TEXT}, {})).users[f.USER_ID]
    numbers = np.array([users.setdefault(user, len(users)) for user in ids.tolist()], np.int64)
    columns = _COLUMNS if catalogue is None else _COLUMNS | {f.ITEM_KEY: TEXT}
    timelines = read_timelines([f"{split.transformed}/{name}"], Layout({}, columns))
    items = timelines.rows[f.ITEM_ID] if catalogue is None else catalogue.rows(timelines.rows[f.ITEM_KEY])
    return baselines.Interactions(numbers[timelines.user_of_rows()], items, timelines.rows[f.TIMESTAMP])


def _joined(parts: list[baselines.Interactions]) -> baselines.Interactions:
    return baselines.Interactions(*(np.concatenate(of) for of in zip(*parts, strict=True)))


def chosen(users: Sequence[bytes], asked: np.ndarray, most: int) -> np.ndarray:
    """Which users are asked about, so that about `most` rows are: only their ids decide. One of them at the least.

    Args:
      users: [U] ids.
      asked: [R] places in them of all eval rows.
      most: rows.
    """
    hashes = np.array([zlib.crc32(b"asked|" + user) for user in users], float)
    limit = most / max(1, len(asked)) * 2**32
    return hashes < max(limit, hashes[asked].min(initial=2**32) + 1)
