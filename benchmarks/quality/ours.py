"""The pipeline's models, run by the pipeline and measured on what its servable answers."""

from __future__ import annotations

import json
import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from rich.console import Console
from tfx.utils import path_utils

from benchmarks.quality.dataset import LIVE, Loaded, Queries, load_dataset
from benchmarks.quality.measure import LIST, Answers
from components.evaluator.predictions import batches, load
from components.evaluator.ranks import list_ranks
from components.files import SPLITS
from components.queries import MeasuredServable, assume, read_queries, request
from models import inputs
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.files import VALIDATION_FILE
from models.queries import Queries as RawQueries
from models.timelines import Timelines
from pipeline.config import Config
from pipeline.data import checks
from pipeline.local import runner
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import TRAINERS, Step

RETRIEVAL, RANKED = "ours", "ours, ranked"

_LISTS = {RETRIEVAL: "retrieved", RANKED: "recommended"}  # Of what the servable answers.
_FEW = 3  # Entries that a new user's history has.
_SAMPLE = 5_000
_BATCH = 500
_SENT = 500  # Entries of a live history, at most.
_UNTRAINED_QUERIES = 1_000  # Of the Evaluator where only examples are wanted.


class Run(NamedTuple):
    """What a run of the pipeline came to.

    Attributes:
      figures: of the report, by the benchmark's names.
      popularity: the Evaluator's figures of that baseline.
      features: of the data set.
    """

    figures: dict[str, float]
    popularity: dict[str, float]
    features: FeatureSet


def run(config: Config, seed: int, output: str, console: Console) -> Run:
    """Trains both models with a seed."""
    seeded = config.model_copy(deep=True)
    seeded.retrieval.seed = seeded.ranking.seed = seed
    metrics = runner.run(seeded, output, console)["metrics"]
    figures = {
        **metrics["retrieval"],
        **{name: metrics["ranking"].get(name) for name in ("rmse", "auc")},
        **{f"two_stage_{name}": value for name, value in metrics["two_stage"].items()},
        "train_seconds": sum(_train_seconds(output, name) for name in TRAINERS),
    }
    names = ("filtered_top_100_categorical_accuracy", "filtered_ndcg_at_10")
    for group, slice_ in (("cold", "user=cold"), ("never_rated", "item=never rated")):
        if found := metrics["slices"].get(slice_):
            figures |= {f"{group}_{name}": found[name] for name in names}
    features = checks.features(seeded)
    figures |= _new_users(output, features)
    present = {name: value for name, value in figures.items() if value is not None}
    return Run(present, metrics["baselines"]["popularity"], features)


def make_examples(config: Config, output: str, console: Console) -> None:
    """Runs the pipeline for its split alone: nothing is trained, and little is evaluated."""
    untrained = config.model_copy(deep=True)
    untrained.retrieval.epochs = untrained.ranking.epochs = 0
    untrained.evaluation.max_queries = _UNTRAINED_QUERIES
    runner.run(untrained, output, console)


def read_split(config: Config, output: str, max_queries: int) -> Loaded:
    """The split that the newest run made."""
    examples, items = (latest_artifact_uri(output, step, "examples") for step in (Step.INTERACTION_GEN, Step.ITEM_GEN))
    return load_dataset(examples, items, config.split.kind, config.repeats, max_queries)


def answers(output: str, features: FeatureSet, loaded: Loaded) -> dict[str, dict[str, Answers]]:
    """What the newest run's servable, which knows train alone, answers: by what a query knows, and by the stage."""
    model, (queries, train) = _servable(output), _queries(output, features)
    assume(model, train)
    items = len(loaded.item_ids)
    measured = MeasuredServable(model, loaded.item_ids)
    found = {}
    for name, asked in loaded.data.asked.items():
        ranks = {stage: np.empty(len(asked)) for stage in _LISTS}
        lists = {stage: np.full((len(asked), min(LIST, items)), -1) for stage in _LISTS}
        lengths = {}
        for some in batches(queries.train_rows[loaded.places], items):
            batch = queries.at(tf.constant(loaded.places[some]))
            sent = request(batch, features)
            if name == LIVE:
                sent |= _history(asked.at(some), loaded.item_ids)
            answered = measured(sent, batch[f.ITEM_ID])
            wanted = asked.item[some][:, np.newaxis]
            for stage, name_of_list in _LISTS.items():
                rows = answered[name_of_list]
                ranks[stage][some] = list_ranks(rows, answered[f"{name_of_list}_score"], wanted)[:, 0]
                first = np.maximum(rows[:, :LIST], -1)
                lists[stage][some, : first.shape[1]] = first
                lengths[stage] = rows.shape[1]
        found[name] = {
            stage: Answers(ranks[stage], lists[stage], length if length < items else None)
            for stage, length in lengths.items()
        }
    return found


def _history(asked: Queries, item_ids: np.ndarray) -> dict[str, tf.Tensor]:
    """What a client sends that keeps its user's history."""
    places = asked.latest(_SENT)
    there = places >= 0
    return {
        f.HISTORY_ITEM_ID: tf.constant(np.where(there, item_ids[asked.log.item[places]], b""), tf.string),
        f.HISTORY_TIMESTAMP: tf.constant(np.where(there, asked.log.time[places], 0), tf.int64),
    }


def _servable(output: str):
    return load(path_utils.serving_model_path(latest_artifact_uri(output, Step.RECOMMENDER_BUILDER, "model")))


def _queries(output: str, features: FeatureSet) -> tuple[RawQueries, Timelines]:
    """All eval rows as raw queries, and the train rows."""
    examples = latest_artifact_uri(output, Step.INTERACTION_GEN, "examples")
    return read_queries(*([os.path.join(examples, f"Split-{split}", "*")] for split in SPLITS), features)


def _train_seconds(output: str, trainer: str) -> float:
    run_dir = latest_artifact_uri(output, trainer, "model_run")
    with open(os.path.join(run_dir, VALIDATION_FILE), encoding="utf-8") as file:
        return json.load(file)["train_seconds"]


def _new_users(output: str, features: FeatureSet) -> dict[str, float]:
    """Eval interactions asked as if by an unknown user, who shows three items or none: top-100 without the shown ones.

    What else the user saw is not filtered out, as the server cannot know it. Asked are the first with at least three
    entries of history before them; where rows are held out at random, there are entries after them, too.
    """
    model, (queries, _) = _servable(output), _queries(output, features)
    item_ids = np.sort(model.ids.numpy()[:-1])  # The last is that of no item.
    measured = MeasuredServable(model, item_ids)
    hits: dict[int, list[bool]] = {_FEW: [], 0: []}
    for start in range(0, queries.rows, _BATCH):
        batch = queries.at(tf.range(start, min(start + _BATCH, queries.rows), dtype=tf.int64))
        times = batch[f.HISTORY_TIMESTAMP]
        past = (times > 0) & (times <= batch[f.TIMESTAMP][:, tf.newaxis])
        for name in (f.HISTORY_ITEM_ID, f.HISTORY_TIMESTAMP):
            batch[name] = tf.ragged.boolean_mask(batch[name], past).to_tensor()
        asked = tf.where(tf.math.count_nonzero(past, axis=1) >= _FEW)[: _SAMPLE - len(hits[0]), 0]
        if not len(asked):
            continue
        batch = inputs.gathered(batch, asked)
        nobody = request(batch, features) | {f.USER_ID: tf.zeros_like(batch[f.USER_ID])}
        for shown, found in hits.items():
            histories = {name: batch[name][:, :shown] for name in (f.HISTORY_ITEM_ID, f.HISTORY_TIMESTAMP)}
            answered = measured(nobody | histories, batch[f.ITEM_ID])
            wanted = np.searchsorted(item_ids, batch[f.ITEM_ID].numpy())[:, np.newaxis]
            ranks = list_ranks(answered["retrieved"], answered["retrieved_score"], wanted)
            found += np.isfinite(ranks[:, 0]).tolist()
        if len(hits[0]) == _SAMPLE:
            break
    return {f"new_user_with_{shown}_top_100": float(np.mean(found)) for shown, found in hits.items() if found}
