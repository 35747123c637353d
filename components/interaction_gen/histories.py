"""One user's interactions to examples: duplicates, split, history. Plain Python, without Beam."""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from components.interaction_gen.settings import Split


class Interaction(NamedTuple):
    """An accepted row. Its order is that of time, then of place in the source: stable and total."""

    timestamp: int
    file: str
    line: int
    item_id: str
    rating: float | None
    item_features: dict[str, Any]


def without_duplicates(rows: Iterable[Interaction]) -> tuple[list[Interaction], list[tuple[Interaction, Interaction]]]:
    """A user's rows in order, and the duplicates (same item and second), each with the row it repeats."""
    kept, duplicates, first = [], [], {}
    for row in sorted(rows, key=lambda row: row[:3]):
        original = first.setdefault((row.item_id, row.timestamp), row)
        if original is row:
            kept.append(row)
        else:
            duplicates.append((row, original))
    return kept, duplicates


def eval_mask(user_id: str, rows: list[Interaction], split: Split, cut: int | None) -> list[bool]:
    """Which of a user's ordered rows are eval rows.

    Args:
      user_id: the user.
      rows: all the user's interactions, in order.
      split: the protocol.
      cut: for `global_temporal`, the second from which on rows are eval rows.
    """
    if split.kind == "random":
        return [_uniform(split.seed, user_id, row) < split.eval_share for row in rows]
    if split.kind == "global_temporal":
        return [row.timestamp >= cut for row in rows]
    train = len(rows) - int(len(rows) * split.eval_share + 0.5)
    return [position >= train for position in range(len(rows))]


def _uniform(seed: int, user_id: str, row: Interaction) -> float:
    key = f"{seed}|{user_id}|{row.item_id}|{row.timestamp}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64


def with_history(
    rows: list[Interaction], eval_rows: list[bool], split: Split
) -> Iterator[tuple[Interaction, bool, list[Interaction]]]:
    """Yields each row, whether it is an eval row, and its history, the most recent first.

    A history holds train rows only, never the row itself and never the same item again. Under the chronological
    protocols it ends before the row; under `random` it may lie on both sides, and the nearest in time are kept.
    """
    train = [row for row, in_eval in zip(rows, eval_rows, strict=True) if not in_eval]
    past = 0  # Train rows before the present one.
    for row, in_eval in zip(rows, eval_rows, strict=True):
        if split.kind == "random":
            low, high = past, past if in_eval else past + 1
            history = _nearest(train, low, high, row.timestamp, split.history_length)
        else:
            history = train[max(0, past - split.history_length) : past]
        yield row, in_eval, [other for other in reversed(history) if other.item_id != row.item_id]
        past += not in_eval


def _nearest(rows: list[Interaction], low: int, high: int, moment: int, length: int) -> list[Interaction]:
    """Up to `length` of rows[:low] + rows[high:], those nearest to `moment`, in order of time."""
    before, after = rows[max(0, low - length) : low], rows[high : high + length]
    candidates = before + after
    if len(candidates) <= length:
        return candidates
    distance = sorted(abs(row.timestamp - moment) for row in candidates)
    kept = [row for row in candidates if abs(row.timestamp - moment) < distance[length - 1]]
    for row in candidates:  # Ties at the limit, the earliest first.
        if len(kept) == length:
            break
        if abs(row.timestamp - moment) == distance[length - 1]:
            bisect.insort(kept, row, key=lambda row: row[:3])
    return kept
