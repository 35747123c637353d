"""`recommender benchmark training`: examples a second of our loops and of the TFRS tutorial's, metrics included."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.quality.factors import TutorialModel
from benchmarks.targets import Target, print_targets
from components.files import EVAL_SPLIT, ITEMS_SPLIT, TRAIN_SPLIT
from models import inputs, ranking, retrieval, training
from models.features import names as f
from models.settings import Ranking, Retrieval, Training
from pipeline.config import Config
from pipeline.data import checks
from pipeline.local import runner
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import Step

_TUTORIAL_BATCH = 8192
_RETRIEVAL, _RANKING, _TUTORIAL = "ours", "ours, ranking", "TFRS tutorial"
_RATIO = Target("ours ÷ TFRS tutorial, examples a second", True, 25.0)

_T = TypeVar("_T")


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
    items = runner.run(untrained, output, console)["dataset"]["items"]

    def files(step: Step, key: str, split: str) -> list[str]:
        return [os.path.join(latest_artifact_uri(output, step, key), f"Split-{split}", "*")]

    def job(section: Training) -> training.Job:
        return training.Job(
            settings=section.model_copy(update={"epochs": epochs, "most_rows": sys.maxsize}).model_dump_json(),
            features=checks.features(untrained).model_dump_json(),
            transform_graph=latest_artifact_uri(output, Step.TRANSFORM, "transform_graph"),
            train_files=files(Step.TRANSFORM, "transformed_examples", TRAIN_SPLIT),
            eval_files=files(Step.TRANSFORM, "transformed_examples", EVAL_SPLIT),
            item_files=files(Step.ITEM_GEN, "examples", ITEMS_SPLIT),
            run_dir="",
            model_dir="",
        )

    found = {}
    for name, measure, arguments in (
        (_RETRIEVAL, _retrieval, [job(config.retrieval)]),
        (_TUTORIAL, _tutorial, [job(config.retrieval), steps]),
        (_RANKING, _ranking, [job(config.ranking)]),
    ):
        console.print(f"{name} …")
        found[name] = _alone(measure, *arguments)
    table = Table("loop", "examples", "seconds", "examples a second", title="Training", title_justify="left")
    for name, (examples, seconds) in found.items():
        table.add_row(name, f"{examples:,}", f"{seconds:.1f}", f"{examples / seconds:,.0f}")
    console.print(table)
    per_second = {name: examples / seconds for name, (examples, seconds) in found.items()}
    ratio = per_second[_RETRIEVAL] / per_second[_TUTORIAL]
    logits = _logits_flops(config.retrieval) * per_second[_RETRIEVAL] / 1e9
    product = _alone(_product_flops_a_second) / 1e9
    console.print(
        f"Logits and their gradients: {_logits_flops(config.retrieval) / 1e6:.2f} million floating point operations "
        f"an example, {logits:.0f} thousand million a second; products of large matrices reach {product:.0f}"
    )
    print_targets([(_RATIO, ratio)], console)
    if json_file:
        content = {
            "items": items,
            "examples_per_second": per_second,
            "ratios": {_RATIO.name: ratio},
            "gflops": {"logits": logits, "large product": product},
        }
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _alone(measure: Callable[..., _T], *arguments: Any) -> _T:
    """What is measured in a process of its own: threads that a loop leaves behind would slow the other one down."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def _retrieval(job: training.Job) -> tuple[int, float]:
    """Examples and seconds of all epochs but the first, with the metrics on the eval split once for each."""
    config, data, model = training.made(job, Retrieval, retrieval.RetrievalModel)
    seconds = _epochs(model, data, config)
    servable = retrieval.RetrievalServable(model, data, config.temperature)
    return _with_metrics(seconds, data, config, lambda: retrieval.validate(servable, data))


def _ranking(job: training.Job) -> tuple[int, float]:
    """As `_retrieval`."""
    config, data, model = training.made(job, Ranking, ranking.RankingModel)
    return _with_metrics(_epochs(model, data, config), data, config, lambda: ranking.validate(model, data))


def _epochs(model: tf.keras.Model, data: training.TrainingData, config: Training) -> list[float]:
    with tempfile.TemporaryDirectory() as logs:
        return training.fit(model, data, config, logs)["epoch_seconds"][1:]


def _with_metrics(
    seconds: list[float], data: training.TrainingData, config: Training, validate: Callable[[], Any]
) -> tuple[int, float]:
    for _ in range(2):  # The second time is the one that counts, as with the epochs and the tutorial's steps.
        started = time.monotonic()
        validate()
        metrics = time.monotonic() - started
    rows, batch = len(data.train), training.fitting_batch_size(config, len(data.train))
    return len(seconds) * (rows // batch * batch), sum(seconds) + len(seconds) * metrics


def _logits_flops(config: Retrieval) -> int:
    """Of an example's logits, and of the gradients of both factors: three products."""
    return 3 * 2 * (config.batch_size + config.uniform_negatives) * (config.embedding_dim + 2)


def _product_flops_a_second() -> float:
    """What a product of large matrices reaches here."""
    matrix = tf.random.normal([2048, 2048])
    seconds = []
    for _ in range(10):
        started = time.monotonic()
        tf.matmul(matrix, matrix).numpy()
        seconds.append(time.monotonic() - started)
    return 2 * 2048**3 / min(seconds)


def _tutorial(job: training.Job, steps: int) -> tuple[int, float]:
    """Examples and seconds of the loop of "basic retrieval": ids only, and FactorizedTopK in every step."""
    data = training.TrainingData(job)
    pairs = {"user": data.train.users[f.USER_ID][data.train.user_of_rows()], "item": data.train.rows[f.ITEM_ID]}
    buckets = inputs.bucket_counts(data.transform)
    model = TutorialModel(buckets[f.USER_ID], buckets[f.ITEM_ID], data.catalogue.features[f.ITEM_ID][:-1])
    batch = min(_TUTORIAL_BATCH, len(data.train))
    batches = tf.data.Dataset.from_tensor_slices(pairs).shuffle(100_000).batch(batch, drop_remainder=True)
    batches = batches.repeat().take(steps + 1).cache()
    model.fit(batches.take(1), verbose=0)
    started = time.monotonic()
    model.fit(batches.skip(1), verbose=0)
    return steps * batch, time.monotonic() - started
