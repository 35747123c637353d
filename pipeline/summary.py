"""What came out of a run: report.json and report.html on the disk, and the summary that the console shows."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.files import REPORT_FILE
from components.reporter.remedies import remedies
from components.reporter.words import TITLES, sentences
from models.errors import UserError
from pipeline.texts import figure
from serving.texts import one_line

_PAGE_FILE = "report.html"
# What the console shows: section and figure.
_SUMMARY = [
    ("retrieval", "filtered_top_100_categorical_accuracy"),
    ("retrieval", "filtered_ndcg_at_10"),
    ("retrieval", "top_100_categorical_accuracy"),
    ("ranking", "rmse"),
    ("ranking", "auc"),
    ("two_stage", "ndcg_at_10_before"),
    ("two_stage", "ndcg_at_10_after"),
    ("index", "recall_at_100"),
]
_OUTCOMES = ("accepted", "merged", "left_out", "rejected")  # Of a source's rows; they add up to all of them.


def write_report(report: dict[str, Any], output: str) -> None:
    """Writes report.json, whole or not at all."""
    path = Path(output) / REPORT_FILE
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def write_page(page: str, output: str) -> Path:
    """Writes report.html; returns its path."""
    path = Path(output) / _PAGE_FILE
    path.write_text(page, encoding="utf-8")
    return path


def read_report(output: str) -> dict[str, Any]:
    """Reads report.json. Raises UserError if there is none."""
    path = Path(output) / REPORT_FILE
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no report. `recommender run --output {output}` writes one") from None
    if "drift" not in report:
        raise UserError(f"{path} is of an older edition. `recommender run --output {output}` writes a new one")
    return report


def print_summary(report: dict[str, Any], console: Console) -> None:
    """Shows what a run came to."""
    data, metrics = report["dataset"], report["metrics"]
    generated = " (generated, not real)" if data.get("generated") else ""
    console.print(
        f"\n[bold]{data['name']}{generated}[/bold]: {data['interactions']:,} interactions of {data['users']:,} users "
        f"with {data['items']:,} items; times are {data['times']}; split {report['split']}"
    )
    if spans := report["window"]["spans"]:
        console.print(f"span {spans[-1]}" + (f", with the {len(spans) - 1} before it" if spans[1:] else ""))
    table = Table("table", "rows", *_OUTCOMES, title="Data", title_justify="left")
    for name, counts in data["tables"].items():
        table.add_row(name, *(f"{counts[outcome]:,}" for outcome in ("rows", *_OUTCOMES)))
    console.print(table)
    for cause in data["causes"]:
        console.print(f"  rejected: {escape(one_line(cause))}", soft_wrap=True, highlight=False)
    references = list(metrics["baselines"])
    table = Table("figure", "this model", *references, title="Evaluation", title_justify="left")
    for section, name in _SUMMARY:
        if name not in metrics[section]:
            continue
        others = (figure(metrics["baselines"][reference].get(name)) for reference in references)
        table.add_row(TITLES.get(name, name), figure(metrics[section][name]), *others)
    console.print(table)
    table = Table("component", "seconds", title="Time", title_justify="left")
    for name, seconds in report["seconds"]["components"].items():
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("total", f"{report['seconds']['total']:.1f}", style="bold")
    console.print(table)
    for note in report["notes"]:
        console.print(f"[yellow]Note:[/yellow] {escape(note)}", soft_wrap=True)
    drift = report["drift"]
    for finding in drift["findings"]:
        since = f"since version {drift['against']}"
        console.print(f"[yellow]Drift[/yellow] {since}: {escape(finding['text'])}", soft_wrap=True, highlight=False)
    for said in sentences(metrics)[:1]:
        beside = f" ({', '.join(said.others)})" if said.others else ""
        console.print(f"{said.value} {said.says}{beside}", soft_wrap=True, highlight=False)
    if report["blessed"]:
        console.print(
            f"[green]Blessed[/green], version {report['pushed_version']} in {report['serving_model_dir']}",
            soft_wrap=True,
        )
    else:
        console.print("[red]Not blessed, not pushed:[/red]")
        for reason in report["not_blessed_because"]:
            console.print(f"  - {escape(reason)}", soft_wrap=True)
        for remedy in remedies(report["not_blessed_because"]):
            console.print(f"What usually helps: {escape(remedy)}", soft_wrap=True, highlight=False)
