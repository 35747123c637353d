"""`recommender benchmark training`: examples a second of our loop and of the TFRS tutorial's, metrics included."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_transform as tft
from rich.console import Console
from rich.table import Table

from benchmarks.quality.baselines import TutorialModel
from benchmarks.targets import Target, print_targets
from models import inputs, training
from models.catalogue import Catalogue, load_catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.retrieval import RetrievalModel, RetrievalServable, validate, validation_batches
from models.settings import Retrieval
from pipeline.config import Config
from pipeline.data import checks
from pipeline.local import runner
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import Step

_TUTORIAL_BATCH = 8192
_RATIO = Target("ours ÷ TFRS tutorial, examples a second", True, 20.0)


class _Rows(NamedTuple):
    """Where what Transform made is, as paths and patterns."""

    features: FeatureSet
    graph: str
    items: list[str]
    train: list[str]
    eval: list[str]

    def load(self) -> tuple[tft.TFTransformOutput, Catalogue]:
        transform = tft.TFTransformOutput(self.graph)
        return transform, load_catalogue(self.items, self.features, transform)


def run(config: Config, epochs: int, steps: int, output: str, json_file: str | None, console: Console) -> None:
    """Runs the pipeline for the trainers' input, without training; measures both loops, and prints tables.

    Args:
      config: the configuration.
      epochs: of ours; the first, in which TensorFlow traces the step, is not counted.
      steps: of the tutorial's; one more, before them, is not counted.
      output: where the run goes.
      json_file: where the figures go as well.
      console: for progress and tables.
    """
    untrained = config.model_copy(deep=True)
    untrained.retrieval.epochs = untrained.ranking.epochs = 0
    runner.run(untrained, output, console)
    graph, examples, items_uri = (
        latest_artifact_uri(output, component, key)
        for component, key in (
            (Step.TRANSFORM, "transform_graph"),
            (Step.TRANSFORM, "transformed_examples"),
            (Step.ITEM_GEN, "examples"),
        )
    )
    train, eval_ = ([os.path.join(examples, f"Split-{split}", "*")] for split in ("train", "eval"))
    rows = _Rows(checks.features(untrained), graph, [os.path.join(items_uri, "Split-items", "*")], train, eval_)
    console.print("Our loop …")
    ours = _alone(_ours, config.retrieval.model_copy(update={"epochs": epochs}), rows)
    console.print("The tutorial's loop …")
    found = {"ours": ours, "TFRS tutorial": _alone(_tutorial, steps, rows)}
    table = Table("loop", "examples", "seconds", "examples a second", title="Training", title_justify="left")
    for name, (examples, seconds) in found.items():
        table.add_row(name, f"{examples:,}", f"{seconds:.1f}", f"{examples / seconds:,.0f}")
    console.print(table)
    per_second = {name: examples / seconds for name, (examples, seconds) in found.items()}
    ratio = per_second["ours"] / per_second["TFRS tutorial"]
    print_targets([(_RATIO, ratio)], console)
    if json_file:
        content = {"items": len(rows.load()[1]), "examples_per_second": per_second, "ratios": {_RATIO.name: ratio}}
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _alone(measure: Callable[..., tuple[int, float]], *arguments: Any) -> tuple[int, float]:
    """What is measured in a process of its own: threads that a loop leaves behind would slow the other one down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def _ours(section: Retrieval, rows: _Rows) -> tuple[int, float]:
    """Examples and seconds of all epochs but the first, with the metrics on the eval split once for each."""
    tf.keras.utils.set_random_seed(section.seed)
    transform, catalogue = rows.load()
    summary = training.training_rows(rows.train, transform)
    model = RetrievalModel(section, rows.features, transform, catalogue, summary)
    batch_size = training.fitting_batch_size(section, summary.rows)
    with tempfile.TemporaryDirectory() as logs:
        batches = inputs.dataset(rows.train, transform, batch_size, shuffle_seed=section.seed)
        seconds = training.fit(model, batches, section, summary.rows, logs)["epoch_seconds"][1:]
    servable = RetrievalServable(model, rows.features, transform, section.temperature)
    eval_batches = validation_batches(rows.eval, transform, len(catalogue))
    for _ in range(2):  # The second time is the one that counts, as with the epochs and the tutorial's steps.
        started = time.monotonic()
        validate(servable, catalogue, eval_batches, rows.features)
        metrics = time.monotonic() - started
    return len(seconds) * (summary.rows // batch_size * batch_size), sum(seconds) + len(seconds) * metrics


def _tutorial(steps: int, rows: _Rows) -> tuple[int, float]:
    """Examples and seconds of the loop of "basic retrieval": ids only, and FactorizedTopK in every step."""
    indices = {name: tf.io.FixedLenFeature([], tf.int64) for name in (f.USER_ID, f.ITEM_ID)}
    transform, catalogue = rows.load()
    columns = inputs.read_columns(rows.train, indices)
    buckets = inputs.bucket_counts(transform)
    items = catalogue.features[f.ITEM_ID]
    model = TutorialModel(buckets[f.USER_ID], buckets[f.ITEM_ID], items)
    batch = min(_TUTORIAL_BATCH, len(columns[f.USER_ID]))
    pairs = {"user": columns[f.USER_ID], "item": columns[f.ITEM_ID]}
    batches = tf.data.Dataset.from_tensor_slices(pairs).shuffle(100_000).batch(batch, drop_remainder=True)
    batches = batches.repeat().take(steps + 1).cache()
    model.fit(batches.take(1), verbose=0)
    started = time.monotonic()
    model.fit(batches.skip(1), verbose=0)
    return steps * batch, time.monotonic() - started
