"""What is known of users at the end of the data, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from models.features import names as f
from models.timelines import Timelines, stacked


@dataclass(frozen=True)
class Users:
    """Users with all their interactions, grouped by user and the most recent first.

    Attributes:
      ids: [U] bytes.
      starts: [U + 2] int64; user u's interactions are rows starts[u] to starts[u + 1], and row U is an unknown user's.
      items: [R] int32, rows of the catalogue.
      timestamps: [R] int64.
      features: the users' model features, [U + 1] or [U + 1, L]; the last row is an unknown user's.
    """

    ids: np.ndarray
    starts: np.ndarray
    items: np.ndarray
    timestamps: np.ndarray
    features: dict[str, np.ndarray]


class Known(NamedTuple):
    """What a split tells."""

    ids: np.ndarray  # [U] bytes, of the timelines' users.
    timelines: Timelines  # Transformed.
    items: np.ndarray  # [R] rows of the catalogue.


def join(splits: Sequence[Known], unknown: Mapping[str, Any]) -> Users:
    """All that the splits tell; `unknown` has an unknown user's model features, or what fills up the lists."""
    ids, first, place = np.unique(
        np.concatenate([split.ids for split in splits]), return_index=True, return_inverse=True
    )
    bounds = np.cumsum([0, *(len(split.ids) for split in splits)])
    of_split = [place[start:][split.timelines.user_of_rows()] for split, start in zip(splits, bounds, strict=False)]
    user, times, items = (
        np.concatenate(parts)
        for parts in (
            of_split,
            [split.timelines.rows[f.TIMESTAMP] for split in splits],
            [split.items.astype(np.int32) for split in splits],
        )
    )
    order = np.lexsort((items, -times, user))
    features = {}
    for name, value in unknown.items():
        values = stacked([split.timelines.users[name] for split in splits], value)[first]
        features[name] = np.concatenate([values, np.full_like(values[:1], value, shape=[1, *values.shape[1:]])])
    return Users(
        ids=ids,
        starts=np.concatenate([[0], np.cumsum(np.bincount(user, minlength=len(ids))), [len(user)]]),
        items=items[order],
        timestamps=times[order],
        features=features,
    )
