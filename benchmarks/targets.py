"""Measured ratios beside what they should be."""

from __future__ import annotations

from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Target(NamedTuple):
    """A limit on a figure."""

    name: str
    at_least: bool
    limit: float


def print_targets(measured: list[tuple[Target, float]], console: Console) -> None:
    """Prints each figure, its target, and whether it is missed."""
    table = Table("", "measured", "target", title="Ratios", title_justify="left")
    for target, value in measured:
        met = value >= target.limit if target.at_least else value <= target.limit
        bound = "at least" if target.at_least else "at most"
        table.add_row(target.name, f"{value:.2f}", f"{bound} {target.limit:g}" + ("" if met else ", missed"))
    console.print(table)
