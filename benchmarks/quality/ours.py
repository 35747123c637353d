"""The pipeline's models, run by the pipeline and measured on what its servable answers."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from tfx.utils import path_utils

from components.evaluator.ranks import list_ranks
from models.files import VALIDATION_FILE
from pipeline.config import Config
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
    metrics = runner.run(seeded, output, console)["metrics"]
    two_stage = metrics["two_stage"]
    figures = {
        **metrics["retrieval"],
        "rmse": metrics["ranking"].get("rmse"),
        "two_stage_ndcg_at_10_before": two_stage["ndcg_at_10_before"],
        "two_stage_ndcg_at_10_after": two_stage["ndcg_at_10_after"],
        "train_seconds": sum(_train_seconds(output, name) for name in TRAINERS),
    }
    if before := two_stage["ndcg_at_10_before"]:
        figures["two_stage_gain"] = two_stage["ndcg_at_10_after"] / before
    names = ("filtered_top_100_categorical_accuracy", "filtered_ndcg_at_10")
    for user in ("warm", "cold"):
        if slice_ := metrics["slices"].get(f"user={user}"):
            figures |= {f"{user}_{name}": slice_[name] for name in names}
    if never := metrics["slices"].get("item=never rated"):
        figures |= {f"never_rated_{name}": never[name] for name in names}
    return {name: value for name, value in (figures | _new_users(output)).items() if value is not None}


def _train_seconds(output: str, trainer: str) -> float:
    run_dir = latest_artifact_uri(output, trainer, "model_run")
    with open(os.path.join(run_dir, VALIDATION_FILE), encoding="utf-8") as file:
        return json.load(file)["train_seconds"]


def _new_users(output: str) -> dict[str, float]:
    """Eval interactions asked as if by an unknown user, who shows three items or none: top-100 without the shown ones.

    What else the user saw is not filtered out, as the server cannot know it.
    """
    import scann  # noqa: F401  Registers the ops that the index needs.

    model_dir = path_utils.serving_model_path(latest_artifact_uri(output, Step.RECOMMENDER_BUILDER, "model"))
    retrieve = tf.saved_model.load(model_dir).signatures["retrieve"]
    rows = _sample(latest_artifact_uri(output, Step.INTERACTION_GEN, "examples"))
    hits: dict[str, list[bool]] = {f"new_user_with_{_FEW}_top_100": [], "new_user_with_0_top_100": []}
    for start in range(0, len(rows["item_id"]), _BATCH):
        batch = {name: values[start : start + _BATCH] for name, values in rows.items()}
        for name, shown in zip(hits, (_FEW, 0), strict=True):
            lists = retrieve(
                user_id=tf.fill([len(batch["item_id"])], ""),
                timestamp=tf.constant(batch["timestamp"]),
                history_item_id=tf.constant(batch["history_item_id"][:, :shown]),
                history_timestamp=tf.constant(batch["history_timestamp"][:, :shown]),
            )
            ids, scores = lists["item_id"].numpy(), lists["score"].numpy()
            hits[name] += np.isfinite(list_ranks(ids, scores, batch["item_id"][:, np.newaxis])[:, 0]).tolist()
    return {name: float(np.mean(found)) for name, found in hits.items()}


def _sample(examples_uri: str) -> dict[str, Any]:
    """The first eval interactions with at least three entries of history before them, most recent first."""
    spec = {
        "item_id": tf.io.FixedLenFeature([], tf.string),
        "timestamp": tf.io.FixedLenFeature([], tf.int64),
        "history_item_id": tf.io.RaggedFeature(tf.string),
        "history_timestamp": tf.io.RaggedFeature(tf.int64),
    }
    files = tf.io.gfile.glob(os.path.join(examples_uri, "Split-eval", "*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").map(lambda r: tf.io.parse_single_example(r, spec))
    long_enough = records.map(_of_the_past).filter(lambda row: tf.size(row["history_item_id"]) >= _FEW).take(_SAMPLE)
    cut = long_enough.map(
        lambda row: {name: value[:_FEW] if "history" in name else value for name, value in row.items()}
    )
    return next(cut.batch(_SAMPLE).as_numpy_iterator(), {name: np.empty((0, _FEW)) for name in spec})


def _of_the_past(row: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Without the entries of the history that come after the row, as there are where rows are held out at random."""
    past = row["history_timestamp"] <= row["timestamp"]
    return {name: tf.boolean_mask(value, past) if "history" in name else value for name, value in row.items()}
