"""What is known of a table, and what is decided."""

from __future__ import annotations

from typing import Any, NamedTuple

from pipeline.guess.columns import Column
from pipeline.guess.sources import Source


class Decision(NamedTuple):
    """One line of the configuration: where it is, why, and whether that is sure."""

    key: str
    why: str
    sure: bool = True


class Guess(NamedTuple):
    """A configuration as nested mappings, with the decisions that made it."""

    tree: dict[str, Any]
    decisions: list[Decision]


class Told(NamedTuple):
    """A table, with what its columns show."""

    source: Source
    columns: list[Column]

    @property
    def file(self) -> str:
        """As the layout has it."""
        return str(self.source.layout["file"])


def shown(column: Column) -> str:
    """What stands in a column, for a reason."""
    return f"{column.distinct:,} different values in the first {len(column.texts):,} rows, as {example(column)}"


def example(column: Column) -> str:
    """Its first value."""
    return repr(next((text for text in column.texts.to_pylist() if text), ""))
