"""The pipeline's models, run by the pipeline and measured on what its servable answers."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import tensorflow as tf
from rich.console import Console
from tfx.utils import path_utils

from components.evaluator.predictions import load
from components.evaluator.ranks import list_ranks
from components.files import SPLITS
from components.queries import ask, read_queries, request
from models import inputs
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.files import VALIDATION_FILE
from pipeline.config import Config
from pipeline.data import checks
from pipeline.local import runner
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import TRAINERS, Step

_FEW = 3  # Entries that a new user's history has.
_SAMPLE = 5_000
_BATCH = 500


def run(config: Config, seed: int, output: str, console: Console) -> dict[str, float]:
    """Trains both models with a seed and returns the run's figures, by the benchmark's names."""
    seeded = config.model_copy(deep=True)
    seeded.retrieval.seed = seeded.ranking.seed = seed
    seeded.evaluation.max_queries = sys.maxsize  # The baselines are asked about every row, too.
    metrics = runner.run(seeded, output, console)["metrics"]
    figures = {
        **metrics["retrieval"],
        "rmse": metrics["ranking"].get("rmse"),
        **{f"two_stage_{name}": value for name, value in metrics["two_stage"].items()},
        "train_seconds": sum(_train_seconds(output, name) for name in TRAINERS),
    }
    names = ("filtered_top_100_categorical_accuracy", "filtered_ndcg_at_10")
    for user in ("warm", "cold"):
        if slice_ := metrics["slices"].get(f"user={user}"):
            figures |= {f"{user}_{name}": slice_[name] for name in names}
    if never := metrics["slices"].get("item=never rated"):
        figures |= {f"never_rated_{name}": never[name] for name in names}
    figures |= _new_users(output, checks.features(seeded))
    return {name: value for name, value in figures.items() if value is not None}


def _train_seconds(output: str, trainer: str) -> float:
    run_dir = latest_artifact_uri(output, trainer, "model_run")
    with open(os.path.join(run_dir, VALIDATION_FILE), encoding="utf-8") as file:
        return json.load(file)["train_seconds"]


def _new_users(output: str, features: FeatureSet) -> dict[str, float]:
    """Eval interactions asked as if by an unknown user, who shows three items or none: top-100 without the shown ones.

    What else the user saw is not filtered out, as the server cannot know it. Asked are the first with at least three
    entries of history before them; where rows are held out at random, there are entries after them, too.
    """
    model_dir = path_utils.serving_model_path(latest_artifact_uri(output, Step.RECOMMENDER_BUILDER, "model"))
    model = load(model_dir)
    examples = latest_artifact_uri(output, Step.INTERACTION_GEN, "examples")
    files = ([os.path.join(examples, f"Split-{split}", "*")] for split in SPLITS)
    queries, _ = read_queries(*files, features)
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
            lists = ask(model, "retrieve", nobody | histories)
            wanted = batch[f.ITEM_ID].numpy()[:, np.newaxis]
            found += np.isfinite(list_ranks(lists["item_id"], lists["score"], wanted)[:, 0]).tolist()
        if len(hits[0]) == _SAMPLE:
            break
    return {f"new_user_with_{shown}_top_100": float(np.mean(found)) for shown, found in hits.items() if found}
