"""What each part of the models is worth: the pipeline's own run with one value of the configuration changed."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.quality import ours
from pipeline.config import Config
from pipeline.data import checks

SEED = 1

# What is left out -> the value that leaves it out, as for `--set`.
ABLATIONS: dict[str, tuple[str, Any]] = {
    "nothing": ("retrieval.seed", SEED),
    "sampling-bias correction": ("retrieval.sampling_bias_correction", False),
    "uniform negatives": ("retrieval.uniform_negatives", 0),
    "time decay of the history": ("retrieval.history_decay_seconds", []),
    "coarse moments": ("retrieval.moment_buckets", [1]),
    "hidden moments and their forecast": ("retrieval.moment_dropout", 0.0),
    "query dropout": ("retrieval.query_dropout", 0.0),
    "forgetting the latest of the history": ("retrieval.history_cut", 0.0),
    "user dropout": ("retrieval.user_dropout", 0.0),
    "item dropout": ("retrieval.item_dropout", 0.0),
    "weight decay, retrieval": ("retrieval.weight_decay", 0.0),
    "weight decay, ranking": ("ranking.weight_decay", 0.0),
    "ranker's choice": ("ranking.choice_loss_weight", 0.0),
    "ranker's preference": ("ranking.preference_loss_weight", 0.0),
}
_COLUMNS = {
    "filtered_top_100_categorical_accuracy": "top-100",
    "filtered_ndcg_at_10": "nDCG@10",
    "cold_filtered_top_100_categorical_accuracy": "top-100\ncold",
    "never_rated_filtered_top_100_categorical_accuracy": "top-100\nnever rated",
    "new_user_with_3_top_100": "top-100\nnew user, 3",
    "rmse": "RMSE",
    "two_stage_gain": "two-stage",
}


def applicable(config: Config) -> dict[str, tuple[str, Any]]:
    """Those of parts that a configuration's models have."""
    absent = set() if config.repeats else {"forgetting the latest of the history"}
    if checks.features(config).positive is None:
        absent.add("ranker's preference")
    return {part: change for part, change in ABLATIONS.items() if part not in absent}


def run(config: Config, output: str, console: Console) -> dict[str, dict[str, float]]:
    """Figures of the whole pipeline without each part, by the part's name; one training each."""
    figures = {}
    for part, (key, value) in applicable(config).items():
        console.rule(f"without {part}")
        figures[part] = ours.run(changed(config, key, value), SEED, output, console).figures
    return figures


def changed(config: Config, key: str, value: Any) -> Config:
    """The configuration with one value changed; `key` is `section.name`."""
    section, name = key.split(".")
    tree = config.model_dump()
    tree[section][name] = value
    return Config.model_validate(tree)


def show(figures: dict[str, dict[str, float]], console: Console) -> None:
    """Prints the table."""
    columns = {name: title for name, title in _COLUMNS.items() if name in figures["nothing"]}
    table = Table(title=f"without one part, seed {SEED}")
    table.add_column("without")
    for title in columns.values():
        table.add_column(title, justify="right")
    for part, values in figures.items():
        table.add_row(part, *(f"{values[name]:.4f}" for name in columns))
    console.print(table)
