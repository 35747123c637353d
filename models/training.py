"""What the two trainers share: devices, rows, progress, logs."""

from __future__ import annotations

import functools
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tensorflow_transform as tft

from models import inputs, joining, warm_start
from models.catalogue import load_catalogue
from models.errors import UserError
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.features.preprocessing import unknown_user
from models.files import VALIDATION_FILE
from models.optimizer import RowwiseAdamW
from models.popularity import Forecast, Interactions, forecast
from models.queries import Queries, model_batch, shuffled
from models.settings import Training
from models.timelines import read_timelines, transformed_layout

# Weights that must not decay to zero, and not those of a feature that happens to be called so; each replica's has its
# own name.
_UNDECAYED_NAMES = ["rating_bias", "preference_bias", "preference_scale", "mix", "time_mix"]
_UNDECAYED_NAMES += ["repeat_mix", "again", "again_by_length", "normaliser", "normaliser_bias"]
_UNDECAYED = [rf"(^|/)({'|'.join(_UNDECAYED_NAMES)})(/replica_\d+)?:0$"]

_LEAST_BATCHES = 10  # Of an epoch: with fewer steps a model stays worse than popularity, which it would beat.
_LEAST_BATCH_SIZE = 32
_ROWS_AT_ONCE = 20_480  # Whose steps TensorFlow runs without going back to Python, which takes a tenth of a short step.

progress = logging.getLogger("recommender.progress")

_Settings = TypeVar("_Settings", bound=Training)
_Model = TypeVar("_Model", bound=tf.keras.Model)


class Job(NamedTuple):
    """What a model is trained on, and where it goes. Files are patterns."""

    settings: str  # The model's section of the configuration, as JSON.
    features: str  # The FeatureSet, as JSON.
    transform_graph: str
    train_files: list[str]  # Transformed examples.
    eval_files: list[str]
    item_files: list[str]  # Raw examples.
    run_dir: str  # For logs, and what was measured.
    model_dir: str
    split: str = ""  # As `warm_start.Kept`; "" where no training is to go on from this one.
    begin_with: str = ""  # Directory of the SavedModel to go on from; "" where there is none.


class Ratings(NamedTuple):
    """What the ratings of the training rows are like."""

    low: float
    high: float
    mean: float


class TrainingData:
    """What a model is trained on, and what it is like.

    Attributes:
      features: of the data set.
      transform: what Transform made.
      catalogue: the candidates.
      train: the train rows; weights are 1 on average, and 0 of those that `joining` keeps out.
      queries: they as queries.
      eval: the eval rows as queries, with the items' keys.
      item_counts: int64 [buckets], train rows of each item index.
      ratings: None where the data has none.
      positive_probability: share of the train rows that are positive; None where nothing is.
      unknown_user: model features that are the user's own, with their values where nothing is known of the user.
    """

    def __init__(self, job: Job):
        self.features = features = FeatureSet.model_validate_json(job.features)
        self.transform = transform = tft.TFTransformOutput(job.transform_graph)
        self.catalogue = load_catalogue(job.item_files, features, transform)
        train = self.train = read_timelines(job.train_files, transformed_layout(features, transform))
        eval_rows = read_timelines(job.eval_files, transformed_layout(features, transform, with_keys=True))
        kept_out = joining.kept_out(train, self.catalogue.ids)
        if f.WEIGHT in train.rows or len(kept_out):
            weights = train.rows.get(f.WEIGHT, np.ones(len(train), np.float32))
            weights[kept_out] = 0.0
            train.rows[f.WEIGHT] = weights / max(weights.mean(dtype=float), 1e-9)
        self.queries = Queries(train, features.histories)
        self.eval = Queries(train, features.histories, eval_rows)
        buckets = inputs.bucket_counts(transform)
        self.item_counts = np.bincount(train.rows[f.ITEM_ID], minlength=buckets[f.ITEM_ID])
        self.ratings = _ratings(train.rows.get(f.RATING))
        positive = train.rows.get(f.POSITIVE)
        self.positive_probability = None if positive is None else float(positive.mean(dtype=float))
        self.unknown_user = unknown_user(features, transform)

    @functools.cached_property
    def forecast(self) -> Forecast:
        """What was popular when; the ranker has no use for it."""
        columns = (self.train.rows[name] for name in (f.ITEM_ID, f.TIMESTAMP, f.MOMENT))
        order = np.argsort(self.train.rows[f.TIMESTAMP], kind="stable")
        moments = inputs.bucket_counts(self.transform)[f.MOMENT] - 1
        return forecast(Interactions(*(values[order] for values in columns)), len(self.catalogue), moments)

    def item_table(self) -> inputs.Batch:
        """The candidates' model features, [n + 1] or [n + 1, L]."""
        return {name: tf.constant(values) for name, values in self.catalogue.features.items()}

    def query_spec(self) -> dict[str, tf.TensorSpec]:
        """What a query tower takes."""
        batch = model_batch(self.queries.at(tf.zeros([min(1, len(self.train))], tf.int64)))
        return inputs.signature(batch, self.features.query_names())

    def candidate_spec(self) -> dict[str, tf.TensorSpec]:
        """What a candidate tower takes."""
        return inputs.signature(self.item_table(), self.features.candidate_names())


def _ratings(values: np.ndarray | None) -> Ratings | None:
    return (
        None if values is None else Ratings(float(values.min()), float(values.max()), float(values.mean(dtype=float)))
    )


def strategy(config: Training) -> tf.distribute.Strategy:
    """What the configured strategy trains on; to be called before anything else of TensorFlow runs."""
    if config.strategy == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if config.strategy == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    return tf.distribute.get_strategy()


def kept_by_chief(directory: str) -> str:
    """The directory, for the chief; one to throw away for others, as all have to take part in saving."""
    resolver = tf.distribute.get_strategy().cluster_resolver
    return directory if not resolver or is_chief(resolver) else tempfile.mkdtemp()


def is_chief(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> bool:
    """Whether this process is the cluster's chief, or its first worker where there is none, or on its own."""
    jobs = resolver.cluster_spec().jobs
    return not jobs or (resolver.task_type, resolver.task_id) == ("chief" if "chief" in jobs else "worker", 0)


def made(
    job: Job, settings: type[_Settings], model: Callable[[_Settings, TrainingData], _Model]
) -> tuple[_Settings, TrainingData, _Model]:
    """A job's settings, its data, and a new model, in the scope of its strategy."""
    config = settings.model_validate_json(job.settings)
    with strategy(config).scope():
        tf.keras.utils.set_random_seed(config.seed)
        data = TrainingData(job)
        return config, data, model(config, data)


def begin(model: tf.keras.Model, data: TrainingData, job: Job, name: str) -> warm_start.Begun:
    """Gives a new model the weights of the live one, where the job says so and it can be."""
    if not job.split:
        return warm_start.COLD
    if not job.begin_with:
        begun = warm_start.Begun(False, "no model is live")
    else:
        begun = warm_start.begin(model, data, job.split, warm_start.read(warm_start.path(job.begin_with, name)))
    progress.info(str(begun))
    return begun


def fit(
    model: tf.keras.Model,
    data: TrainingData,
    config: Training,
    log_dir: str,
    begun: warm_start.Begun = warm_start.COLD,
) -> dict[str, Any]:
    """Trains with a learning rate that falls along a cosine to zero.

    From nothing, all rows come in each of the configured epochs, and there are fewer of these where the data is large.
    Where training goes on, there is one epoch of the new rows and a share of the others.

    Args:
      model: what is trained.
      data: what on.
      config: the model's section.
      log_dir: TensorBoard's.
      begun: whether training goes on, and which rows are new.

    Returns:
      `train_seconds`, and of the epochs the `losses` and `epoch_seconds`, the first with the tracing.

    Raises:
      UserError: the batches cannot be divided among the replicas, or the loss is no longer finite.
    """
    if begun.warm and config.epochs:
        rows = _again(data, begun.new_rows, config)
        return _fit(model, data.queries, config, log_dir, 1, config.warm_learning_rate, rows)
    return _fit(model, data.queries, config, log_dir, fitting_epochs(config, len(data.train)), config.learning_rate)


def refit(model: tf.keras.Model, data: TrainingData, config: Training, job: Job, name: str) -> None:
    """Goes on with one pass over the eval rows whose item has train rows; raises as `fit`."""
    with model.distribute_strategy.scope():
        begun = warm_start.begin(model, data, job.split, warm_start.read(warm_start.path(job.begin_with, name)))
    if not begun.warm:
        raise ValueError(f"{job.begin_with} is not of this data: {begun.because}")
    known = np.flatnonzero(data.eval.asked.rows[f.ITEM_ID] < inputs.oov_index(data.transform, f.ITEM_ID))
    _fit(model, data.eval, config, job.run_dir, 1, config.refit_learning_rate, known)


def _fit(
    model: tf.keras.Model,
    queries: Queries,
    config: Training,
    log_dir: str,
    epochs: int,
    rate: float,
    rows: np.ndarray | None = None,
) -> dict[str, Any]:
    """As `fit`, with some rows of the queries, or all."""
    started = time.monotonic()
    number = queries.rows if rows is None else len(rows)
    batch_size = fitting_batch_size(config, number)
    replicas = model.distribute_strategy.num_replicas_in_sync
    if batch_size % replicas:
        raise UserError(f"batch_size: {batch_size} rows cannot be divided among {replicas} replicas")
    steps = number // max(batch_size, 1)
    if not steps * epochs:
        return {"train_seconds": 0.0, "losses": [], "epoch_seconds": []}
    schedule = tf.keras.optimizers.schedules.CosineDecay(rate, steps * epochs)
    with model.distribute_strategy.scope():
        optimizer = RowwiseAdamW(schedule, config.weight_decay, _UNDECAYED)
        optimizer.build(model.trainable_variables)  # Variables that a step creates make TensorFlow trace it twice.
        model.compile(optimizer, steps_per_execution=max(1, _ROWS_AT_ONCE // batch_size) if replicas == 1 else 1)
    shown = _Progress(epochs)
    callbacks = [tf.keras.callbacks.TensorBoard(log_dir, write_graph=False), shown]
    batches = shuffled(queries, batch_size, epochs, config.seed, rows)
    history = model.fit(batches, epochs=epochs, steps_per_epoch=steps, verbose=0, callbacks=callbacks).history
    return {
        "train_seconds": time.monotonic() - started,
        "losses": [float(loss) for loss in history["loss"]],
        "epoch_seconds": shown.seconds,
    }


def _again(data: TrainingData, new: np.ndarray, config: Training) -> np.ndarray:
    """[R] the rows of the one epoch of a training that goes on."""
    old = np.setdiff1d(np.arange(len(data.train)), new, assume_unique=True)
    some = np.random.default_rng(config.seed).permutation(old)[: round(len(old) * config.warm_share)]
    return np.concatenate([new, some])


class TrainedModel(tfrs.Model):
    """A TFRS model whose `compute_loss` is the mean over the rows of a replica.

    The step is traced as it stands: there are no data-dependent branches for AutoGraph to convert, and converting takes
    longer than an epoch.
    """

    @tf.autograph.experimental.do_not_convert
    def train_step(self, batch: inputs.Batch) -> dict[str, tf.Tensor]:
        replica = tf.distribute.get_replica_context()
        with tf.GradientTape() as tape:
            loss = self.compute_loss(batch, training=True)
            own_loss = loss / replica.num_replicas_in_sync  # The optimizer adds up the replicas' gradients.
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(own_loss, variables), variables, strict=True))
        return {"loss": replica.all_reduce(tf.distribute.ReduceOp.MEAN, loss)}

    @property
    def distribute_reduction_method(self) -> str:
        """Takes the first replica's loss: it is already the mean over all replicas."""
        return "first"


def traced(call: Callable[..., Any], *signature: Any) -> tf.types.experimental.ConcreteFunction:
    """A function of an export, as its layers are now: a SavedModel would trace any other kind again."""
    return tf.function(call, input_signature=signature, autograph=False).get_concrete_function()


def write_validation(values: dict[str, Any], model_run_dir: str) -> None:
    """Keeps what a trainer measured beside its logs."""
    with tf.io.gfile.GFile(os.path.join(model_run_dir, VALIDATION_FILE), "w") as file:
        file.write(json.dumps(values, indent=2))


def fitting_epochs(config: Training, rows: int) -> int:
    """The configured epochs, as many of them as `most_rows` allows, but one of those at the least."""
    return min(config.epochs, max(1, config.most_rows // max(rows, 1)))


def fitting_batch_size(config: Training, rows: int) -> int:
    """The configured batch size, halved until an epoch of little data has enough batches to learn from."""
    size = config.batch_size
    while rows < _LEAST_BATCHES * size and size % 2 == 0 and size >= 2 * _LEAST_BATCH_SIZE:
        size //= 2
    return min(size, rows)


class _Progress(tf.keras.callbacks.Callback):
    """Reports every epoch.

    Attributes:
      seconds: of each epoch so far.
    """

    def __init__(self, epochs: int):
        super().__init__()
        self.seconds: list[float] = []
        self._epochs = epochs

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.seconds.append(time.monotonic() - self._started)
        loss = (logs or {})["loss"]
        progress.info("epoch %d of %d: loss %.4f", epoch + 1, self._epochs, loss)
        if not np.isfinite(loss):
            raise UserError(f"the loss is {loss} after epoch {epoch + 1}: lower learning_rate or weight_decay")
