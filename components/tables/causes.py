"""Why rows of tables do not count as they stand."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from components.tables import reading

REJECTED, MERGED = "rejected", "merged"  # Outcomes.
SHOWN_CAUSES = 3  # In a message.
_TABLES = ("items", "users", "interactions")  # Causes come before what they lead to.


class Unused(NamedTuple):
    """A row that does not count as it stands: rejected, or merged with an earlier one.

    Attributes:
      order: puts what matters most first.
      outcome: REJECTED or MERGED.
      cause, reason: why, as many rows share it, and of this row.
    """

    order: int
    table: str
    outcome: str
    file: str
    line: int
    cause: str
    reason: str
    row: str

    @classmethod
    def of(cls, table: str, outcome: str, row: reading.Rejected) -> Unused:
        order = _TABLES.index(table) + len(_TABLES) * (outcome == MERGED)
        return cls(order, table, outcome, row.file, row.line, row.cause, row.reason, row.row)


class Cause(NamedTuple):
    """Rejected rows of a table that share a cause: how many, and the first of them."""

    table: str
    cause: str
    rows: int
    example: str

    @classmethod
    def of(cls, row: Unused, rows: int) -> Cause:
        detail = "" if row.reason == row.cause else f": {row.reason}"
        return cls(row.table, row.cause, rows, f"{os.path.basename(row.file)}, line {row.line}{detail}")

    def __str__(self) -> str:
        return f"{self.rows:,} row{'s' if self.rows > 1 else ''} of {self.table}: {self.cause} ({self.example})"


def by_cause(found: Mapping[tuple[str, str], tuple[int, Unused]]) -> list[Cause]:
    """Causes with what they lead to after them, the most frequent of a table first."""
    ordered = sorted(found.values(), key=lambda one: (one[1].order, -one[0], one[1]))
    return [Cause.of(row, rows) for rows, row in ordered]


def joined(found: Iterable[tuple[int, Unused]]) -> tuple[int, Unused]:
    """How many rows there are of a cause, and the first."""
    numbers, rows = zip(*found, strict=True)
    return sum(numbers), min(rows)
