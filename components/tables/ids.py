"""What is kept of many ids: how they are written, and a sample of them."""

from __future__ import annotations

import heapq
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_SKETCH = 1024  # Hashes: a share that is estimated with them is good to about 0.03.
_SHAPES = 20  # The most frequent.
# In this order; an id's leading zero is kept apart, as it is what spreadsheets take away.
_PATTERNS = ((r"\b0[0-9]+", "#"), (r"[0-9]+", "9"), (r"[a-z]+", "a"), (r"[A-Z]+", "A"))


def of_ids(ids: pa.Array) -> dict[str, Any]:
    """Shapes of ids, as `9`, `A-9` or `#` for 42, B-42 and 0042, with how many have them; and the smallest hashes."""
    shapes = ids
    for pattern, replacement in _PATTERNS:
        shapes = pc.replace_substring_regex(shapes, pattern, replacement)
    counts = Counter({one["values"]: one["counts"] for one in shapes.value_counts().to_pylist()})
    hashes = {zlib.crc32(one.encode()) for one in ids.to_pylist()}
    return {"shapes": dict(counts.most_common(_SHAPES)), "sketch": heapq.nsmallest(_SKETCH, hashes)}


def joined_ids(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """As `of_ids` of all of them, whose parts have no id in common."""
    shapes: Counter[str] = Counter()
    for one in parts:
        shapes.update(one["shapes"])
    hashes = set().union(*(one["sketch"] for one in parts))
    return {"shapes": dict(shapes.most_common(_SHAPES)), "sketch": heapq.nsmallest(_SKETCH, hashes)}


def share_not_in(these: Iterable[int], those: Iterable[int]) -> float:
    """Which share of the ids behind one sketch are not behind another; 0 where there are none.

    Both sketches hold all hashes up to the smaller of their largest ones, and those are a uniform sample (bottom-k
    sketches: Cohen and Kaplan, PODC 2007).
    """
    a, b = set(these), set(those)
    full = [max(one) for one in (a, b) if len(one) >= _SKETCH]
    limit = min(full, default=None)
    sample = a if limit is None else {one for one in a if one <= limit}
    return len(sample - b) / len(sample) if sample else 0.0
