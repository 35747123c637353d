"""`recommender benchmark quality`: one split, every model, one table."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quality import ours
from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.dataset import Dataset, load_dataset
from benchmarks.quality.measure import measure
from pipeline import local_runner
from pipeline.config import Config
from pipeline.errors import RunError

_COLUMNS = {
    "top_100_categorical_accuracy": "top-100\nunfiltered",
    "filtered_top_10_categorical_accuracy": "top-10",
    "filtered_top_100_categorical_accuracy": "top-100",
    "filtered_ndcg_at_10": "nDCG@10",
    "filtered_recall_at_10_per_user": "recall@10\nper user",
    "filtered_ndcg_at_10_per_user": "nDCG@10\nper user",
    "warm_filtered_top_100_categorical_accuracy": "top-100\nwarm",
    "cold_filtered_top_100_categorical_accuracy": "top-100\ncold",
    "train_seconds": "train s",
}
_RANKING = ("rmse", "two_stage_ndcg_at_10_before", "two_stage_ndcg_at_10_after", "two_stage_gain")


def run(config: Config, seeds: int, output: str, json_file: str | None, console: Console) -> dict[str, Any]:
    """Trains and measures every model on one split, with seeds 1 to `seeds`; prints and returns the means.

    Raises:
      RunError: the two measurements of the popularity baseline, the pipeline's and this one, differ.
    """
    all_seeds = range(1, seeds + 1)
    models: dict[str, dict[str, float]] = {}
    console.rule(f"ours, {seeds} seeds")
    models["ours"] = _mean([ours.run(config, seed, output, console) for seed in all_seeds])
    data = load_dataset(
        local_runner.latest_artifact_uri(output, "InteractionGen", "examples"),
        local_runner.latest_artifact_uri(output, "CatalogueGen", "examples"),
    )
    for name in BASELINES:
        console.rule(name)
        models[name] = _baseline(name, data, all_seeds, console)
    _check_agreement(output, models["popularity"])
    result = {
        "data": config.name,
        "split": config.split.kind,
        "seeds": seeds,
        "models": {name: models[name] for name in (*BASELINES, "ours") if models[name]},
    }
    show(result, console)
    if json_file:
        with open(json_file, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return result


def _baseline(name: str, data: Dataset, seeds: Sequence[int], console: Console) -> dict[str, float]:
    runs = []
    for seed in seeds if name in ("bpr", "ials", "tfrs_tutorial") else seeds[:1]:
        started = time.monotonic()
        try:
            scores = BASELINES[name](data, seed)
        except MemoryError as error:
            console.print(f"left out: {error}")
            return {}
        seconds = time.monotonic() - started
        runs.append({**measure(data, scores), "train_seconds": seconds})
        console.print(f"seed {seed}: filtered top-100 {runs[-1]['filtered_top_100_categorical_accuracy']:.4f}")
    return _mean(runs)


def _mean(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}


def _check_agreement(output: str, popularity: dict[str, float]) -> None:
    with open(os.path.join(output, "report.json"), encoding="utf-8") as file:
        theirs = json.load(file)["metrics"]["baselines"]["popularity"]
    for name, value in theirs.items():
        if abs(value - popularity[name]) > 1e-6:
            raise RunError(f"popularity's {name} is {value} for the pipeline and {popularity[name]} here")


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the table."""
    models = result["models"]
    columns = {name: title for name, title in _COLUMNS.items() if any(name in figures for figures in models.values())}
    table = Table(
        title=f"{result['data']}, {result['split']}, mean of {result['seeds']} seeds; filtered unless it says so"
    )
    table.add_column("model")
    for title in columns.values():
        table.add_column(title, justify="right")
    for name, figures in models.items():
        digits = {column: 1 if column == "train_seconds" else 4 for column in columns}
        table.add_row(name, *(f"{figures[c]:.{digits[c]}f}" if figures.get(c) is not None else "" for c in columns))
    console.print(table)
    mine = models["ours"]
    console.print("ours: " + ", ".join(f"{name} {mine[name]:.4f}" for name in _RANKING))
    cold = [name for name in mine if name.startswith(("never_rated", "new_user"))]
    console.print("cold start: " + ", ".join(f"{name} {mine[name]:.4f}" for name in cold))
