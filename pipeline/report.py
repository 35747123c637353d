"""report.json, and the summary that the console shows."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError

REPORT_FILE, HTML_FILE = "report.json", "report.html"

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
_TITLES = {
    "filtered_top_100_categorical_accuracy": "filtered top-100 accuracy",
    "filtered_ndcg_at_10": "filtered nDCG@10",
    "top_100_categorical_accuracy": "unfiltered top-100 accuracy",
    "rmse": "rating RMSE",
    "auc": "AUC of liked",
    "ndcg_at_10_before": "nDCG@10 of liked movies, retrieval alone",
    "ndcg_at_10_after": "nDCG@10 of liked movies, after ranking",
    "recall_at_100": "index recall@100",
}
_SECTIONS = ("retrieval", "two_stage", "ranking", "recommended")
_CHARTED = "filtered_top_100_categorical_accuracy"
_SLICES_IN_A_CHART = 20


def write_report(report: dict[str, Any], output: str) -> None:
    """Writes report.json, whole or not at all."""
    path = Path(output) / REPORT_FILE
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    os.replace(scratch, path)


def read_report(output: str) -> dict[str, Any]:
    """Reads report.json. Raises UserError if there is none."""
    path = Path(output) / REPORT_FILE
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no report. `recommender run --output {output}` writes one") from None


def print_summary(report: dict[str, Any], console: Console) -> None:
    """Shows what a run came to."""
    data, metrics = report["dataset"], report["metrics"]
    generated = " (generated, not real)" if data.get("generated") else ""
    console.print(
        f"\n[bold]{data['name']}{generated}[/bold]: {data['interactions']:,} interactions of {data['users']:,} users "
        f"with {data['movies']:,} movies; {data['rejected_rows']:,} rows rejected; split {report['split']}"
    )
    references = list(metrics["baselines"])
    table = Table("figure", "this model", *references, title="Evaluation", title_justify="left")
    for section, name in _SUMMARY:
        others = (_number(metrics["baselines"][reference].get(name)) for reference in references)
        table.add_row(_TITLES.get(name, name), _number(metrics[section][name]), *others)
    console.print(table)
    table = Table("component", "seconds", title="Time", title_justify="left")
    for name, seconds in report["seconds"]["components"].items():
        table.add_row(name, f"{seconds:.1f}")
    table.add_row("total", f"{report['seconds']['total']:.1f}", style="bold")
    console.print(table)
    if report["blessed"]:
        console.print(
            f"[green]Blessed[/green], version {report['pushed_version']} in {report['serving_model_dir']}",
            soft_wrap=True,
        )
    else:
        console.print("[red]Not blessed, not pushed:[/red]")
        for reason in report["not_blessed_because"]:
            console.print(f"  - {reason}", soft_wrap=True)


def write_html(report: dict[str, Any], output: str) -> Path:
    """Writes report.html, one file that needs no network; returns its path."""
    import jinja2

    metrics = report["metrics"]
    references = list(metrics["baselines"])
    figures = [
        {"name": name, "value": value, "references": [metrics["baselines"][of].get(name) for of in references]}
        for section in _SECTIONS
        for name, value in metrics[section].items()
    ]
    templates = jinja2.Environment(loader=jinja2.PackageLoader("pipeline"), autoescape=True)
    templates.filters["day"] = _day
    page = templates.get_template("report.html.j2")
    path = Path(output) / HTML_FILE
    path.write_text(
        page.render(report=report, references=references, figures=figures, charts=_charts(report)), encoding="utf-8"
    )
    return path


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).date().isoformat()


def _charts(report: dict[str, Any]) -> dict[str, Any]:
    from pipeline import charts

    metrics, index = report["metrics"], report["metrics"]["index"]
    by_feature: dict[str, dict[str, dict]] = {}
    for slice_, figures in metrics["slices"].items():
        feature, value = slice_.split("=", 1)
        by_feature.setdefault(feature, {})[f"{value} ({figures['queries']:,})"] = figures
    slices = []
    for feature, found in by_feature.items():
        largest = dict(sorted(found.items(), key=lambda item: -item[1]["queries"])[:_SLICES_IN_A_CHART])
        series = {"model": [figures[_CHARTED] for figures in largest.values()]}
        for reference in metrics["baselines"]:
            series[reference] = [figures[f"{reference}_{_CHARTED}"] for figures in largest.values()]
        title = f"{_TITLES[_CHARTED]}, by {feature} (queries)"
        slices.append({"title": title, "svg": charts.bars(list(largest), series, title)})
    seconds = {name: value for name, value in report["seconds"]["components"].items() if value >= 0.1}
    return {
        "slices": slices,
        "training": [
            {"title": f"Trainer.{name}", "svg": charts.curve(losses, f"training loss of {name}")}
            for name, losses in report["training"].items()
        ],
        "index": charts.trade_off(
            {
                index["kind"]: (index["milliseconds"], index["recall_at_100"] or 0.0),
                "exact search": (index["exact_milliseconds"], 1.0),
            },
            "recall of the index against its speed",
        ),
        "ratings": charts.histogram(report["data"]["histograms"]["user_rating"], "ratings"),
        "times": charts.histogram(report["data"]["histograms"]["timestamp"], "interactions over time", of_time=True),
        "seconds": charts.bars(list(seconds), {"seconds": list(seconds.values())}, "seconds by component")
        if seconds
        else "",
    }


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
