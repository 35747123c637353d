"""`recommender init`: writes a commented configuration, and says for each line of it why it is so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.tables import spans
from models.errors import UserError
from pipeline.config import as_name, load_config
from pipeline.data import checks
from pipeline.guess.roles import guess
from pipeline.guess.sources import find, holds_deliveries
from pipeline.guess.told import Decision, Guess

_INLINE = ("timestamp", "where", "require", "events", "positive")


def run(directory: str, output: str | None, console: Console) -> str:
    """Looks at a directory's files and writes the configuration; returns its path.

    Raises:
      UserError: nothing there can be interactions, or the file exists already.
    """
    directory = os.path.abspath(directory)
    path = output or f"{as_name(os.path.basename(directory)) or 'recommender'}.yaml"
    if os.path.exists(path):
        raise UserError(f"{path} exists already: give another with --output")
    of_spans = os.path.isdir(directory) and holds_deliveries(directory)
    newest = spans.resolve(os.path.join(directory, spans.PLACE), spans.LATEST).newest if of_spans else directory
    sources, passed = find(newest)
    guessed = guess(sources)
    beside = os.path.relpath(directory, os.path.dirname(os.path.abspath(path)))
    place = directory if beside.startswith("..") else beside
    if of_spans:
        place = os.path.join(place, spans.PLACE)
        why = "each directory there is a delivery; of those that hold only what is new, set `window` to read several"
        guessed.decisions.insert(0, Decision("data.directory", why, False))
    data = {"directory": place} | guessed.tree["data"]
    text = to_yaml(Guess(guessed.tree | {"data": data}, guessed.decisions))
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {path}: {error.strerror}") from error
    table = Table(box=None, pad_edge=False)
    for heading in ("", "line", "why"):
        table.add_column(heading, overflow="fold")
    for decision in guessed.decisions:
        table.add_row("" if decision.sure else "?", Text(decision.key), Text(decision.why))
    console.print(table)
    for one in passed:
        console.print(one, soft_wrap=True, markup=False)
    unsure = sum(not decision.sure for decision in guessed.decisions)
    console.print(f"Wrote {path}; look at the {unsure} lines with a question mark", soft_wrap=True)
    try:
        checks.check(load_config(path))
    except UserError as error:
        console.print(f"It does not run yet: {error}", soft_wrap=True, markup=False)
    else:
        console.print(f"Next: recommender run --config {path}", soft_wrap=True, markup=False)
    return path


def to_yaml(guessed: Guess) -> str:
    """The configuration with the reasons as comments."""
    lines = [
        "# Made by `recommender init` from the files. A question mark stands where it was not sure.",
        *_lines(guessed.tree, "", 0, guessed.decisions),
    ]
    return "\n".join(lines) + "\n"


def _lines(tree: dict[str, Any], at: str, depth: int, decisions: list[Decision]) -> list[str]:
    lines = []
    for name, value in tree.items():
        key = f"{at}.{name}".lstrip(".")
        indent = "  " * depth
        lines += [f"{indent}# {_marked(one)}" for one in decisions if one.key == key]
        if isinstance(value, dict) and name not in _INLINE and not at.endswith(".features"):
            lines += [f"{indent}{_scalar(name)}:", *_lines(value, key, depth + 1, decisions)]
        else:
            lines.append(f"{indent}{_scalar(name)}: {_scalar(value)}")
    if at.endswith(".features"):  # Columns that are none.
        given = {f"{at}.{name}" for name in tree}
        missing = [one for one in decisions if one.key.startswith(f"{at}.") and one.key not in given]
        lines += [f"{'  ' * depth}# {one.key.removeprefix(f'{at}.')}: {_marked(one)}" for one in missing]
    return lines


def _marked(decision: Decision) -> str:
    return " ".join(f"{'' if decision.sure else '? '}{decision.why}".split())


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    return text.removesuffix("...\n").rstrip("\n")
