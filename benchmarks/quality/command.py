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

from benchmarks.quality import ablations, ours
from benchmarks.quality.baselines import BASELINES
from benchmarks.quality.dataset import Dataset, load_dataset
from benchmarks.quality.measure import measure
from models.retrieval import EVAL_ROWS
from models.settings import TOP_KS
from pipeline.config import Config
from pipeline.errors import RunError
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import Step

_PER_QUERY = {
    **{f"filtered_top_{k}_categorical_accuracy": f"top-{k}" for k in TOP_KS},
    "filtered_ndcg_at_10": "nDCG@10",
    "train_seconds": "train s",
}
_UNFILTERED = {f"top_{k}_categorical_accuracy": f"top-{k}" for k in TOP_KS}
_BY_USER = {
    "filtered_recall_at_10_per_user": "recall@10",
    "filtered_ndcg_at_10_per_user": "nDCG@10",
    "warm_filtered_top_100_categorical_accuracy": "warm top-100",
    "cold_filtered_top_100_categorical_accuracy": "cold top-100",
}
_RANKING = ("rmse", "two_stage_ndcg_at_10_before", "two_stage_ndcg_at_10_after", "two_stage_gain")


def run(
    config: Config, seeds: int, with_ablations: bool, output: str, json_file: str | None, console: Console
) -> dict[str, Any]:
    """Trains and measures every model on one split, with seeds 1 to `seeds`; prints and returns the means.

    Raises:
      RunError: the two measurements of the popularity baseline, the pipeline's and this one, differ.
    """
    all_seeds = range(1, seeds + 1)
    models: dict[str, dict[str, float]] = {}
    console.rule(f"ours, {seeds} seeds")
    models["ours"] = _mean([ours.run(config, seed, output, console) for seed in all_seeds])
    data = load_dataset(
        latest_artifact_uri(output, Step.INTERACTION_GEN, "examples"),
        latest_artifact_uri(output, Step.ITEM_GEN, "examples"),
        config.repeats,
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
    if with_ablations:
        result["ablations"] = ablations.run(config, output, console)
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
    named = [name for name in runs[0] if all(name in run for run in runs)]  # Some figures need rows of a kind.
    return {name: float(np.mean([run[name] for run in runs])) for name in named}


def _check_agreement(output: str, popularity: dict[str, float]) -> None:
    with open(os.path.join(output, "report.json"), encoding="utf-8") as file:
        theirs = json.load(file)["metrics"]["baselines"]["popularity"]
    for name, value in theirs.items():
        if abs(value - popularity[name]) > 1e-6:
            raise RunError(f"popularity's {name} is {value} for the pipeline and {popularity[name]} here")


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the tables."""
    models = result["models"]
    console.rule(f"{result['data']}, {result['split']}, mean of {result['seeds']} seeds")
    console.print(_table("filtered, each eval interaction one query", models, _PER_QUERY))
    console.print(
        _table(f"the same, seen items included (ours: of {EVAL_ROWS:,} queries at most)", models, _UNFILTERED)
    )
    console.print(_table("filtered, each user one query; and by user", models, _BY_USER))
    mine = models["ours"]
    console.print("ours: " + ", ".join(f"{name} {mine[name]:.4f}" for name in _RANKING if name in mine))
    cold = [name for name in mine if name.startswith(("never_rated", "new_user"))]
    console.print("cold start: " + ", ".join(f"{name} {mine[name]:.4f}" for name in cold))
    if "ablations" in result:
        ablations.show(result["ablations"], console)


def _table(title: str, models: dict[str, dict[str, float]], columns: dict[str, str]) -> Table:
    columns = {name: head for name, head in columns.items() if any(name in figures for figures in models.values())}
    table = Table(title=title)
    table.add_column("model")
    for head in columns.values():
        table.add_column(head, justify="right")
    for name, figures in models.items():
        digits = {column: 1 if column == "train_seconds" else 4 for column in columns}
        table.add_row(name, *(f"{figures[c]:.{digits[c]}f}" if figures.get(c) is not None else "" for c in columns))
    return table
