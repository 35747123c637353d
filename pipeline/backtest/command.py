"""`recommender backtest`: for each of the last nights, train, gate, and ask about the next day."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from rich.console import Console
from rich.table import Table

from components.reporter import charts
from components.tables import spans
from models.errors import UserError
from pipeline.backtest import days
from pipeline.backtest.asking import Figures, Log
from pipeline.config import Config
from pipeline.data import checks
from pipeline.local import runner
from pipeline.options import STARTS
from pipeline.texts import figure
from serving.texts import one_line

_RUNS, _SERVED, _SPANS, _NIGHTS, _KEY, _PAGE = "runs", "served", "spans", "nights.jsonl", "of.txt", "backtest.html"
_MODEL, _POPULAR = "model", "recent_popularity"
_TITLES = {"top_100": "top-100 of the next day's interactions", "ndcg_at_10": "nDCG@10 of the next day's interactions"}

Night = dict[str, Any]


def run(
    config: Config,
    number: int,
    starts: Sequence[str],
    max_queries: int,
    output: str,
    json_file: str | None,
    console: Console,
) -> list[Night]:
    """Runs the nights, of which those that are done are not run again; prints a table and writes a page.

    Args:
      config: of the data, in spans or with timestamps.
      number: of nights.
      starts: of STARTS, those that are tried; each has a live model of its own.
      max_queries: interactions of the next day that are asked about, at most.
      output: directory of the runs and of what they came to.
      json_file: where the nights go as well.
      console: for progress and the table.

    Raises:
      UserError: wrong input, too few spans or days, or `output` holds another backtest.
      RunError: a run failed.
    """
    output = os.path.abspath(output)
    os.makedirs(output, exist_ok=True)
    done = _done(output, _key(config, number))
    console.print("Reading all interactions", soft_wrap=True)
    if spans.PLACE in config.data.directory:
        nights, rows = days.of_spans(config, number)
    else:
        nights, rows = days.of_days(config, number, os.path.join(output, _SPANS))
    log = Log(rows, checks.features(config))
    results = []
    for place, night in enumerate(nights):
        popular = None  # The same for all starts.
        for start in starts:
            console.rule(f"night {place + 1} of {number}: {night.name}, {start} start")
            if (night.name, start) in done:
                console.print("was run before")
                results.append(done[night.name, start])
            else:
                results.append(_night(night, start, log, popular, max_queries, output, console))
                with open(os.path.join(output, _NIGHTS), "a", encoding="utf-8") as file:
                    file.write(json.dumps(results[-1]) + "\n")
            popular = results[-1].get(_POPULAR)
    show(results, console)
    page = _write_page(config.name, results, output)
    console.print(f"Wrote {page}", soft_wrap=True)
    if json_file:
        Path(json_file).write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return results


def _night(
    night: days.Night,
    start: str,
    log: Log,
    popular: Figures | None,
    max_queries: int,
    output: str,
    console: Console,
) -> Night:
    """One run. What both starts have in common, as all before the training, is in one directory and so made once.

    `popular`: the figures of recent popularity, where they are known.
    """
    runs = os.path.join(output, _RUNS)
    config = night.config.model_copy(deep=True)
    config.warm_start = start == "warm"
    serving = os.path.join(output, _SERVED, start)
    result: Night = {"span": night.name, "start": start, "because": [], "seconds": None, "training_seconds": None}
    try:
        report = runner.run(config, runs, console, serving_dir=serving)
    except UserError as error:  # As drift, which leaves the model before in place.
        result |= {"verdict": "stopped", "because": [one_line(str(error))]}
    else:
        result |= {
            "verdict": "pushed" if report["blessed"] else "refused",
            "because": report["not_blessed_because"],
            "seconds": report["seconds"]["total"],
            "training_seconds": report["training_seconds"],
        }
    from components.evaluator.predictions import load
    from components.push_destination import destination

    served = destination(serving)
    versions = served.versions()
    asked = log.asked(night.begins, night.ends, max_queries)
    result |= {"asked": len(asked), "live": str(versions[-1]) if versions else None}
    if len(asked):
        result[_POPULAR] = popular or log.recent_popularity(asked, night.begins, max_queries)
        if versions:
            console.print(f"asking version {versions[-1]} about {len(asked):,} interactions of the next day")
            result[_MODEL] = log.of_model(load(served.place(versions[-1])), asked)
    return result


def show(nights: list[Night], console: Console) -> None:
    """A table of the nights, with the live model's age in nights, means, and why some models were not pushed."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("night", "start", "verdict"):
        table.add_column(title, no_wrap=True)
    for title in ("age", "training", "asked", "top-100", "popular", "nDCG@10", "popular"):
        table.add_column(title, justify="right", no_wrap=True)
    ages: dict[str, int] = {}  # Nights since the live model was trained.
    for night in nights:
        start = night["start"]
        if night["verdict"] == "pushed":
            ages[start] = 0
        elif start in ages:
            ages[start] += 1
        figures = [figure(night.get(of, {}).get(name)) for name in _TITLES for of in (_MODEL, _POPULAR)]
        seconds = "" if night["training_seconds"] is None else f"{night['training_seconds']:.0f}"
        shown = str(ages.get(start, "-"))
        table.add_row(night["span"], start, night["verdict"], shown, seconds, f"{night['asked']:,}", *figures)
    for start, means in summary(nights).items():
        figures = [figure(means[of][name]) for name in _TITLES for of in (_MODEL, _POPULAR)]
        seconds = f"{means['training_seconds']:.0f}"
        table.add_row("all", start, "", "", seconds, f"{means['asked']:,}", *figures, style="bold")
    console.print(table)
    for night in nights:
        for reason in night["because"]:
            text = f"{night['span']}, {night['start']} start: {reason}"
            console.print(text, soft_wrap=True, highlight=False, markup=False)


def summary(nights: list[Night]) -> dict[str, Night]:
    """Of each start, over the nights that have figures: sums of seconds and of what was asked, and means of figures."""
    found = {}
    for start in STARTS:
        some = [night for night in nights if night["start"] == start and _MODEL in night and _POPULAR in night]
        if not some:
            continue
        sums = {of: sum(night[of] or 0 for night in some) for of in ("seconds", "training_seconds", "asked")}
        means = {
            of: {name: sum(night[of][name] * night["asked"] for night in some) / sums["asked"] for name in _TITLES}
            for of in (_MODEL, _POPULAR)
        }
        found[start] = sums | means
    return found


def _key(config: Config, number: int) -> str:
    """What decides the nights."""
    settings = f"{checks.fingerprint(config)}-{config.model_dump_json()}-{number}"
    return hashlib.sha256(settings.encode()).hexdigest()


def _done(output: str, key: str) -> dict[tuple[str, str], Night]:
    """The nights that were run before, by span and start.

    Raises:
      UserError: they are another backtest's, whose models would be live in this one.
    """
    path, of = Path(output, _NIGHTS), Path(output, _KEY)
    if not os.path.isdir(os.path.join(output, _RUNS)):
        of.write_text(key, encoding="utf-8")
    elif not of.exists() or of.read_text(encoding="utf-8") != key:
        raise UserError(
            f"--output {output} holds a backtest of other data, with another configuration or another --spans: "
            "give another directory, or delete this one"
        )
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    nights = [json.loads(line) for line in lines if line.endswith("}")]
    return {(night["span"], night["start"]): night for night in nights}


def _write_page(name: str, nights: list[Night], output: str) -> Path:
    """backtest.html: one file that needs no network."""
    names = list(dict.fromkeys(night["span"] for night in nights))
    drawn = []
    for of_night, title in _TITLES.items():
        series: dict[str, list[float | None]] = {}
        for line, of in (*((start, _MODEL) for start in STARTS), ("popularity", _POPULAR)):
            some = [night for night in nights if of in night and (of == _POPULAR or night["start"] == line)]
            if some:
                found = {night["span"]: night[of][of_night] for night in some}
                series[line] = [found.get(name) for name in names]
        if series:
            drawn.append({"title": title, "svg": charts.lines(names, series, title)})
    loaders = [jinja2.PackageLoader(package) for package in ("pipeline.backtest", "components.reporter")]  # The style.
    templates = jinja2.Environment(loader=jinja2.ChoiceLoader(loaders), autoescape=True)
    path = Path(output) / _PAGE
    path.write_text(templates.get_template("backtest.html.j2").render(name=name, charts=drawn, nights=nights), "utf-8")
    return path
