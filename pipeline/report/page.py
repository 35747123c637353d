"""report.html: one file that needs no network."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from pipeline.report import charts
from pipeline.report.remedies import remedies
from pipeline.report.summary import TITLES

HTML_FILE = "report.html"
_SECTIONS = ("retrieval", "two_stage", "ranking", "recommended")
_CHARTED = "filtered_top_100_categorical_accuracy"
_SLICES_IN_A_CHART = 20


def write_html(report: dict[str, Any], output: str, runs: Sequence[dict[str, Any]]) -> Path:
    """Writes report.html, one file that needs no network; returns its path.

    Args:
      report: of the newest run.
      output: the directory.
      runs: all of them, as `history.read` gives them.
    """
    metrics = report["metrics"]
    references = list(metrics["baselines"])
    figures = [
        {"name": name, "value": value, "references": [metrics["baselines"][of].get(name) for of in references]}
        for section in _SECTIONS
        for name, value in metrics[section].items()
    ]
    templates = jinja2.Environment(loader=jinja2.PackageLoader("pipeline.report"), autoescape=True)
    templates.filters["day"] = _day
    shown = _charts(report) | {"runs": _runs(runs)}
    page = templates.get_template("report.html.j2")
    path = Path(output) / HTML_FILE
    helps = remedies(report["not_blessed_because"])
    text = page.render(report=report, references=references, figures=figures, charts=shown, helps=helps)
    path.write_text(text, encoding="utf-8")
    return path


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).date().isoformat()


def _charts(report: dict[str, Any]) -> dict[str, Any]:
    metrics, index = report["metrics"], report["metrics"]["index"]
    histograms = report["data"]["histograms"]
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
        title = f"{TITLES[_CHARTED]}, by {feature} (queries)"
        slices.append({"title": title, "svg": charts.bars(list(largest), series, title)})
    seconds = {name: value for name, value in report["seconds"]["components"].items() if value >= 0.1}
    return {
        "drift": [_drift(finding) for finding in report["drift"]["findings"]],
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
        "ratings": charts.histogram(histograms["rating"], "ratings") if "rating" in histograms else "",
        "times": charts.histogram(histograms["timestamp"], "interactions over time", of_time=True),
        "seconds": charts.bars(list(seconds), {"seconds": list(seconds.values())}, "seconds by component")
        if seconds
        else "",
    }


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    """The figures of the runs one after the other; "" where there is only one."""
    measured = [run["figures"] for run in runs if "figures" in run]
    if len(measured) < 2:
        return ""
    figures = {"model": "top_100", "popularity": "baseline_top_100"}
    series = {title: [one[name] for one in measured] for title, name in figures.items()}
    names = [run["span"] or run["started"][5:16].replace("T", " ") for run in runs if "figures" in run]
    return charts.lines(names, series, f"{TITLES[_CHARTED]} of the runs, and of the best baseline")


def _drift(finding: dict[str, Any]) -> dict[str, str]:
    """A finding in words, and what was and is, side by side, where it is more than two numbers."""
    shares = finding["distribution"] or {}
    series = {"model": [now for now, _ in shares.values()], "live": [was for _, was in shares.values()]}
    svg = (
        charts.bars(list(shares), series, f"shares of {finding['name']}, now and with the live model") if shares else ""
    )
    return {"text": finding["text"], "svg": svg}
