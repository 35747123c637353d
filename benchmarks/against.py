"""`recommender benchmark against`: a benchmark here and in another checkout, in one go, and what differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from models.errors import UserError

_HERE = Path(__file__).parents[1]


def run(checkout: str, command: Sequence[str], rounds: int, console: Console) -> None:
    """Runs the benchmark in turns, first there and then here, and prints the means of every figure and their ratio.

    Args:
      checkout: directory of the other checkout; it runs with this one's packages.
      command: the benchmark's name and options; names of files and directories are those of this directory.
      rounds: how often.
      console: for the table.

    Raises:
      UserError: no checkout there, a benchmark that fails, or no figure that both give.
    """
    there = Path(checkout).resolve()
    if not (there / "pipeline" / "cli.py").is_file():
        raise UserError(f"{checkout} is no checkout of this project: `git worktree add {checkout} COMMIT` makes one")
    measured: dict[Path, list[dict[str, float]]] = {there: [], _HERE: []}
    for _ in range(rounds):
        for place, found in measured.items():
            console.rule(f"in {place}")
            found.append(_figures_of(place, command))
    before, after = (_means(found) for found in measured.values())
    if not before.keys() & after.keys():
        raise UserError(f"`benchmark {command[0]}` gives other figures in {checkout} than here: nothing to compare")
    table = Table("figure", "there", "here", "here ÷ there", title=f"{command[0]}, mean of {rounds}")
    for name in before | after:
        values = [found.get(name) for found in (before, after)]
        both = f"{values[1] / values[0]:.2f}" if None not in values and values[0] else "-"
        table.add_row(name, *("-" if value is None else f"{value:,.4g}" for value in values), both)
    console.print(table)


def _figures_of(place: Path, command: Sequence[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as directory:
        file = os.path.join(directory, "figures.json")
        options = [os.path.abspath(text) if os.path.exists(text) else text for text in command[1:]]
        line = [sys.executable, "-m", "pipeline.cli", "benchmark", command[0], *options, "--json", file]
        if subprocess.run(line, cwd=place, env=os.environ | {"PYTHONPATH": str(place)}).returncode:
            raise UserError(f"`benchmark {' '.join(command)}` failed in {place}")
        return dict(_leaves(json.loads(Path(file).read_text(encoding="utf-8"))))


def _leaves(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a JSON value, by where they are."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield name, float(tree)


def _means(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in found) / len(found) for name in found[0]}
