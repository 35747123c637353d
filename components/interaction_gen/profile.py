"""What is known of a delivery beyond its counts, small enough to travel with a model: drift is seen against it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from components.interaction_gen.timelines import Ordered
from components.tables.ids import joined_ids, of_ids

_HOUR, _DAY_HOURS = 3600, 24


def profile(ordered: Ordered) -> dict[str, Any]:
    """Of some users' rows; the ids' shapes and hashes are those of users."""
    users = ordered.users.take(pa.array(np.unique(ordered.user)))
    if not len(users):
        return {}
    return {
        "first": int(ordered.time.min()),
        "last": int(ordered.time.max()),
        "busiest_user": int(np.bincount(ordered.user).max()),
        "hours": hours_of(ordered.time),
        "users": of_ids(users),
    }


def hours_of(time: np.ndarray) -> list[int]:
    """How many of these Unix seconds are in each hour of the day, UTC."""
    return np.bincount(time // _HOUR % _DAY_HOURS, minlength=_DAY_HOURS).tolist()


def joined(profiles: Sequence[dict[str, Any]], items: pa.Array) -> dict[str, Any]:
    """Of all users' rows, with that of the items' ids."""
    present = [one for one in profiles if one]
    return {
        "first": min((one["first"] for one in present), default=0),
        "last": max((one["last"] for one in present), default=0),
        "busiest_user": max((one["busiest_user"] for one in present), default=0),
        "hours": np.sum([[0] * _DAY_HOURS, *(one["hours"] for one in present)], axis=0).tolist(),
        "users": joined_ids([one["users"] for one in present]),
        "items": of_ids(items),
    }
