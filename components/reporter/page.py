"""report.html: one file that needs no network."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import jinja2

from components.reporter import charts
from components.reporter.headline import TOP_100
from components.reporter.remedies import remedies
from components.reporter.words import LISTS_OF_100, sentences

_SECTIONS = ("retrieval", "two_stage", "ranking", "recommended")
_SLICES_IN_A_CHART = 20


def to_html(report: dict[str, Any], runs: Sequence[dict[str, Any]] = ()) -> str:
    """The page of a run.

    Args:
      report: of the newest run; with `seconds` where these are known.
      runs: all of them, as `recommender history` has them, where there is a history.
    """
    metrics = report["metrics"]
    references = list(metrics["baselines"])
    figures = [
        {"name": name, "value": value, "references": [metrics["baselines"][of].get(name) for of in references]}
        for section in _SECTIONS
        for name, value in metrics[section].items()
    ]
    templates = jinja2.Environment(loader=jinja2.PackageLoader("components.reporter"), autoescape=True)
    templates.filters["day"] = _day
    shown = _charts(report) | {"runs": _runs(runs)}
    page = templates.get_template("report.html.j2")
    helps = remedies(report["not_blessed_because"])
    return page.render(
        report=report,
        sentences=sentences(metrics),
        lists_of_100=LISTS_OF_100,
        references=references,
        figures=figures,
        charts=shown,
        helps=helps,
    )


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
        series = {"model": [figures[TOP_100] for figures in largest.values()]}
        for reference in metrics["baselines"]:
            series[reference.replace("_", " ")] = [figures[f"{reference}_{TOP_100}"] for figures in largest.values()]
        svg = charts.bars(list(largest), series, f"share of {LISTS_OF_100}, by {feature}")
        slices.append({"title": f"By {feature}", "svg": svg})
    taken = report.get("seconds", {}).get("components", {})  # An orchestrator may not tell the step.
    seconds = {name: value for name, value in taken.items() if value >= 0.1}
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
    return charts.lines(names, series, f"share of {LISTS_OF_100}, of the runs, and of the best baseline")


def _drift(finding: dict[str, Any]) -> dict[str, str]:
    """A finding in words, and what was and is, side by side, where it is more than two numbers."""
    shares = finding["distribution"] or {}
    series = {"model": [now for now, _ in shares.values()], "live": [was for _, was in shares.values()]}
    svg = (
        charts.bars(list(shares), series, f"shares of {finding['name']}, now and with the live model") if shares else ""
    )
    return {"text": finding["text"], "svg": svg}
