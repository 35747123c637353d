"""`recommender benchmark quality`: one split, every model, the same queries."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.quality import ablations, beyond, ours, tables, trade
from benchmarks.quality.baselines import BASELINES, applicable
from benchmarks.quality.dataset import FROZEN, Dataset, Loaded, Queries
from benchmarks.quality.figures import intervals, mean_of_seeds, means, of_groups, per_query
from benchmarks.quality.measure import Answers, answer
from benchmarks.quality.tuning import Choice, TooLarge, choose
from models.errors import UserError
from pipeline.config import Config
from pipeline.errors import RunError

_REPORTED = {
    "top_100": "filtered_top_100_categorical_accuracy",
    "ndcg_at_10": "filtered_ndcg_at_10",
}
_MOVED = 5  # Queries whose rank rounding may move, as batches are not the Evaluator's.

OfSeeds = list[dict[str, Answers]]  # A model's answers for each seed, by what a query knows.


def run(
    config: Config,
    models: str | None,
    seeds: int,
    max_queries: int,
    with_ablations: bool,
    trade_file: str | None,
    output: str,
    json_file: str | None,
    console: Console,
) -> dict[str, Any]:
    """Trains and measures models on one split, with seeds 1 to `seeds`; prints and returns the figures.

    Args:
      config: of the pipeline.
      models: names with commas between them; None: all that make sense for the data.
      seeds: trainings of what has a seed.
      max_queries: about so many eval rows are asked about, all those of some users.
      with_ablations: also trains ours without each part.
      trade_file: where to plot what `index.diversity` costs and gives; None: it is not measured.
      output: where the pipeline's runs go.
      json_file: where the figures go as well.
      console: for progress and tables.

    Raises:
      UserError: no such model.
      RunError: figures of the Evaluator and those measured here differ.
    """
    names = model_names(models, config.repeats)
    config = config.model_copy(deep=True)
    config.evaluation.max_queries = max_queries
    config.index = config.index.without_rules()  # Which baselines do not follow.
    answers: dict[str, OfSeeds] = {}
    seconds: dict[str, float] = {}
    runs: list[ours.Run] = []
    if ours.RETRIEVAL in names:
        loaded, runs, of_ours = _ours(config, seeds, max_queries, output, console)
        seconds[ours.RETRIEVAL] = float(np.mean([one.figures["train_seconds"] for one in runs]))
    else:
        ours.make_examples(config, output, console)
        loaded, of_ours = ours.read_split(config, output, max_queries), {}
    chosen: dict[str, Choice] = {}
    left_out: dict[str, str] = {}
    for name in (name for name in names if name in BASELINES):
        console.rule(name)
        started = time.monotonic()
        try:
            chosen[name], answers[name] = _baseline(name, loaded.data, seeds, console)
        except TooLarge as error:
            left_out[name] = str(error)
            console.print(f"left out: {error}")
            continue
        seconds[name] = (time.monotonic() - started) / len(answers[name])
    if runs and "popularity" in answers:
        _check_agreement("popularity", runs[0].popularity, answers["popularity"][0][FROZEN], 0)
    answers |= of_ours
    result = {
        "data": config.name,
        "split": config.split.kind,
        "seeds": seeds,
        "queries": len(loaded.places),
        "users": len(np.unique(loaded.data.asked[FROZEN].user)),
        "items": loaded.data.items,
        "histories": {
            history: {name: _figures(of_seeds, history, loaded.data) for name, of_seeds in answers.items()}
            for history in loaded.data.asked
        },
        "seconds": seconds,
        "chosen": {name: choice._asdict() for name, choice in chosen.items()},
        "left_out": left_out,
        "pipeline": _mean([one.figures for one in runs]),
    }
    if with_ablations:
        result["ablations"] = ablations.run(config, output, console)
    if trade_file:
        result["trade"] = trade.run(config, max_queries, output, console)
        trade.show(result["trade"], console)
        trade.plot(result["trade"], trade_file)
    tables.show(result, console)
    if json_file:
        with open(json_file, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=2)
    return result


def model_names(models: str | None, repeats: bool) -> list[str]:
    """The names that `--models` means. Raises UserError where one is none of those that make sense for the data."""
    known = [*applicable(repeats), ours.RETRIEVAL]
    if models is None:
        return known
    names = [name.strip() for name in models.split(",")]
    for name in names:
        if name not in known:
            raise UserError(f"--models {models}: {name!r} is none of {', '.join(known)}")
    return [name for name in known if name in names]


def _ours(
    config: Config, seeds: int, max_queries: int, output: str, console: Console
) -> tuple[Loaded, list[ours.Run], dict[str, OfSeeds]]:
    """Runs the pipeline with each seed and asks its servable."""
    runs: list[ours.Run] = []
    answers: dict[str, OfSeeds] = {ours.RETRIEVAL: [], ours.RANKED: []}
    for seed in range(1, seeds + 1):
        console.rule(f"ours, seed {seed}")
        runs.append(ours.run(config, seed, output, console))
        console.print("asking the servable")
        loaded = ours.read_split(config, output, max_queries)
        found = ours.answers(output, runs[-1].features, loaded)
        _check_agreement("ours", runs[-1].figures, found[FROZEN][ours.RETRIEVAL], _MOVED)
        for stage, of_seeds in answers.items():
            of_seeds.append({history: of_stages[stage] for history, of_stages in found.items()})
    return loaded, runs, answers


def _baseline(name: str, data: Dataset, seeds: int, console: Console) -> tuple[Choice, OfSeeds]:
    """Chooses a baseline's values on train, fits it to all of train and asks it."""
    baseline = BASELINES[name]
    if baseline.trials:
        console.print("choosing its values on train")
    choice = choose(baseline, data)
    if text := tables.choice_text(name, choice._asdict()):
        console.print(text)
    found: OfSeeds = []
    for seed in range(1, seeds + 1) if baseline.seeded else (1,):
        model = baseline.fit(data, seed, choice.fitted)
        found.append(
            {
                history: answer(model, queries, choice.asked[history], data.items, data.repeats)
                for history, queries in data.asked.items()
            }
        )
        console.print(f"seed {seed}: top-100 {means(per_query(found[-1][FROZEN].ranks))['top_100']:.4f}")
    return choice, found


def _figures(of_seeds: OfSeeds, history: str, data: Dataset) -> dict[str, Any]:
    """A model's figures: means of the seeds, with intervals, of groups, and of its lists beyond accuracy."""
    queries = data.asked[history]
    answers = [of_seed[history] for of_seed in of_seeds]
    by_query = mean_of_seeds([per_query(one.ranks, one.length) for one in answers])
    return {
        **means(by_query),
        "intervals": intervals(by_query, queries.user),
        "groups": of_groups(by_query, _groups(data, queries)),
        "beyond": _mean([beyond.figures(one.lists, data, queries) for one in answers]),
    }


def _groups(data: Dataset, queries: Queries) -> dict[str, np.ndarray]:
    """[Q] masks: users with and without train rows; where items repeat, whether the wanted one is in the history."""
    warm = data.matrix.getnnz(axis=1)[queries.user] > 0
    groups = {"warm": warm, "cold": ~warm}
    if data.repeats:
        repeated = queries.repeated()
        groups |= {"repeat": repeated, "new": ~repeated}
    return groups


def _mean(runs: list[dict[str, float]]) -> dict[str, float]:
    named = [name for name in runs[0] if all(name in run for run in runs)] if runs else []  # Some need rows of a kind.
    return {name: float(np.mean([run[name] for run in runs])) for name in named}


def _check_agreement(name: str, reported: dict[str, float], answers: Answers, moved: int) -> None:
    """Raises RunError where the Evaluator's figures are others, by more than so many queries make."""
    measured = means(per_query(answers.ranks, answers.length))
    for figure in _REPORTED.keys() & measured.keys():
        theirs = reported[_REPORTED[figure]]
        if abs(theirs - measured[figure]) > 1e-6 + moved / len(answers.ranks):
            raise RunError(f"{figure} of {name} is {theirs} for the Evaluator and {measured[figure]} here")
