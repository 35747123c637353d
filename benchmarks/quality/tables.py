"""The figures as tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.quality import ablations
from models.settings import TOP_KS

_ACCURACY = {**{f"top_{k}": f"top-{k}" for k in TOP_KS}, "ndcg_at_10": "nDCG@10", "mrr": "MRR"}
_OF_GROUPS = {"top_100": "top-100", "ndcg_at_10": "nDCG@10"}
_GROUPS = {"by user": ("warm", "cold"), "by item": ("repeat", "new")}
_BEYOND = ("coverage", "novelty", "diversity", "miscalibration")
_RANKING = ("rmse", "auc", "two_stage_ndcg_at_10_before", "two_stage_ndcg_at_10_after", "two_stage_gain")

Figures = dict[str, Any]
Cell = Callable[[Figures], str]


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the tables."""
    console.rule(f"{result['data']}, {result['split']}, mean of {result['seeds']} seeds")
    console.print(
        f"{result['queries']:,} queries of {result['users']:,} users; {result['items']:,} items; ± is half of the 95 % "
        "confidence interval, by a bootstrap over users"
    )
    for history, models in result["histories"].items():
        title = f"{history} histories" if len(result["histories"]) > 1 else "accuracy"
        _print(title, models, {head: _accuracy(name) for name, head in _ACCURACY.items()}, console)
        groups = next(iter(models.values()), {}).get("groups", {})
        for by, pair in _GROUPS.items():
            if groups.keys() >= {*pair}:
                cells = {
                    f"{group}\n{head}": _of_group(group, name) for group in pair for name, head in _OF_GROUPS.items()
                }
                _print(f"{title}, {by}", models, cells, console)
        _print(f"{title}, lists of ten", models, {name: _beyond(name) for name in _BEYOND}, console)
    for name, choice in result["chosen"].items():
        if text := choice_text(name, choice):
            console.print(text)
    for name, reason in result["left_out"].items():
        console.print(f"{name} is left out: {reason}")
    console.print("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items()))
    if mine := result["pipeline"]:
        console.print("ours: " + ", ".join(f"{name} {mine[name]:.4f}" for name in _RANKING if name in mine))
        cold = [name for name in mine if name.startswith(("never_rated", "new_user"))]
        console.print("cold start: " + ", ".join(f"{name} {mine[name]:.4f}" for name in cold))
    if "ablations" in result:
        ablations.show(result["ablations"], console)


def choice_text(name: str, choice: dict[str, Any]) -> str:
    """A baseline's chosen values in a line, as `ease: lambda 300, tau 1 day, c 0.05`; "" where there are none."""
    asked = [f"{history}: {_values(values)}" for history, values in choice["asked"].items() if values]
    if len({text.partition(": ")[2] for text in asked}) == 1:  # The same for all histories.
        asked = [asked[0].partition(": ")[2]]
    text = "; ".join(filter(None, [_values(choice["fitted"]), *asked]))
    return f"{name}: {text}" if text else ""


def _values(values: dict[str, Any]) -> str:
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}  # Others have own lines.
    return ", ".join(f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in plain.items())


def _accuracy(name: str) -> Cell:
    def cell(figures: Figures) -> str:
        if name not in figures["intervals"]:
            return _number(figures.get(name))
        low, high = figures["intervals"][name]
        return f"{figures[name]:.4f} ±" + f"{(high - low) / 2:.4f}".removeprefix("0")

    return cell


def _of_group(group: str, name: str) -> Cell:
    return lambda figures: _number(figures["groups"].get(group, {}).get(name))


def _beyond(name: str) -> Cell:
    return lambda figures: _number(figures["beyond"][name])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _print(title: str, models: dict[str, Figures], columns: dict[str, Cell], console: Console) -> None:
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))  # Fits into 80 columns.
    table.add_column("model", no_wrap=True)
    for head in columns:
        table.add_column(head, justify="right")
    for name, figures in models.items():
        table.add_row(name, *(cell(figures) for cell in columns.values()))
    console.print(table)
