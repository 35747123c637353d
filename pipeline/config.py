"""The typed configuration of a run: every value a person may want to change, checked in one place."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline import features, storage
from pipeline.errors import UserError

CONFIG_DIR = Path(__file__).parent / "configs"
# An argument of Beam's, without which TFX would pack itself up for every job's workers; they have it.
NOT_PACKED = "--sdk_container_image=none"
# Beam's arguments for its simplest runner.
IN_PROCESS = ("--direct_running_mode=in_memory", "--direct_num_workers=1", NOT_PACKED)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True)


class Table(_Strict):
    """How one table is stored, and which of its columns are ours."""

    file: str  # A file name or glob, relative to the data directory.
    format: Literal["csv", "parquet"] = "csv"
    delimiter: str = ","
    header: bool = True  # False: columns are named by their position, from 0.
    encoding: str = "utf-8"
    columns: dict[str, str | int]  # Our name -> name or position of the column.
    flags: dict[str, str | int] = {}  # Genre -> column that holds 1 where the movie has it.
    separator: str = "|"  # Between the genres in one field.
    empty: list[str] = []  # Genres that mean "none".
    optional: bool = False  # True: the table may be absent.

    @model_validator(mode="after")
    def _columns_without_header_are_positions(self) -> Table:
        for field, column in (self.columns | self.flags).items():
            if self.format == "csv" and not self.header and not isinstance(column, int):
                raise ValueError(f"{field}: {column!r} is no position, and without a header columns have no names")
        return self


class Data(_Strict):
    """Where interactions, catalogue and users are read from."""

    directory: str | None = None  # `{span}` in it stands for the span.
    span: str = "latest"  # One delivery, all of the data; "latest" is the greatest name there is.
    interactions: Table
    catalogue: Table
    users: Table | None = None
    generated: Generated | None = None
    max_rejected_share: float = Field(0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _columns_are_fields(self) -> Data:
        _check_columns("interactions", self.interactions, features.INTERACTION_FIELDS, features.INTERACTION_FIELDS)
        _check_columns("catalogue", self.catalogue, features.CATALOGUE_FIELDS, [features.MOVIE_ID.name])
        if self.users:
            _check_columns("users", self.users, features.USER_FIELDS, [features.USER_ID.name])
        return self


def _check_columns(name: str, table: Table, known: Collection[str], needed: Collection[str]) -> None:
    for field in needed:
        if field not in table.columns:
            raise ValueError(f"{name}.columns has no {field}: map it to one of the table's columns")
    for field in table.columns:
        if field not in known:
            raise ValueError(f"{name}.columns has {field!r}, which is none of {', '.join(known)}")


class Generated(_Strict):
    """Size of the built-in data, which is generated and says so."""

    users: int = Field(600, ge=2)
    movies: int = Field(800, ge=20)
    interactions: int = Field(40_000, ge=100)
    seed: int = 42


class Split(_Strict):
    """How interactions are divided into train and eval."""

    kind: Literal["per_user_chronological", "random", "global_temporal"] = "per_user_chronological"
    test_share: float = Field(0.2, gt=0, lt=1)
    seed: int = 42
    history_length: int = Field(100, ge=1)  # The most recent interactions a query knows.


class Transform(_Strict):
    """Parameters of the features."""

    oov_buckets: int = Field(1, ge=1)
    min_word_count: int = Field(2, ge=1)  # Title words seen in fewer train interactions are out of vocabulary.
    timestamp_buckets: int = Field(1000, ge=2)
    preference_threshold: float = 4.0  # A rating from here on means that the user likes the movie.


class Training(_Strict):
    # tf.distribute's: all GPUs of this machine, or those of all machines in TF_CONFIG.
    strategy: Literal["one_device", "mirrored", "multi_worker"] = "one_device"
    epochs: int = Field(6, ge=0)
    batch_size: int = Field(512, ge=2)  # Of all replicas together.
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1.0, ge=0)  # Share of a weight that a step takes away is this times the learning rate.
    seed: int = 42

    @model_validator(mode="after")
    def _weights_remain(self) -> Training:
        if self.learning_rate * self.weight_decay >= 1:
            raise ValueError("learning_rate times weight_decay has to be below 1, or nothing is left of the weights")
        return self


class Retrieval(Training):
    """The two-tower model."""

    embedding_dim: int = Field(96, ge=1)
    query_layers: list[int] = []  # Hidden layers between the summed query embeddings and the tower's output.
    candidate_layers: list[int] = []
    moment_buckets: list[Annotated[int, Field(ge=1)]] = Field([1, 8, 64], min_length=1)  # Time buckets that are merged.
    history_decay_seconds: list[float] = [60.0, 600.0, 86_400.0]
    history_dropout: float = Field(0.2, ge=0, lt=1)
    user_dropout: float = Field(0.5, ge=0, lt=1)  # Share of rows that hide the user id, so unknown users work.
    stranger_share: float = Field(0.1, ge=0, lt=1)  # Share of rows that hide user id and history.
    movie_dropout: float = Field(0.1, ge=0, lt=1)  # Share of rows that hide the movie id, so new movies work.
    uniform_negatives: int = Field(1024, ge=0)  # Catalogue samples added to the in-batch negatives.
    temperature: float = Field(1.0, gt=0)
    hard_negatives: int | None = Field(None, ge=1)
    remove_accidental_hits: bool = True
    sampling_bias_correction: bool = True


class Ranking(Training):
    """The model that orders the candidates and predicts ratings."""

    epochs: int = Field(5, ge=0)
    learning_rate: float = Field(3e-3, gt=0)
    weight_decay: float = Field(1.5, ge=0)
    embedding_dim: int = Field(64, ge=1)
    layers: list[Annotated[int, Field(ge=1)]] = Field([64, 32], min_length=1)
    dropout: float = Field(0.2, ge=0, lt=1)
    rating_weight: float = Field(1.0, ge=0)
    preference_weight: float = Field(0.5, ge=0)
    choice_weight: float = Field(1.5, ge=0)
    negatives: int = Field(8, ge=1)  # Other rows' movies that choice is learnt against.
    preference_share: float = Field(1.5, ge=0)  # Of log P(liked | query, movie) in the final score.
    choice_share: float = Field(0.7, ge=0)  # Of the ranker's log P(movie | query) in the final score.


class Index(_Strict):
    """The candidate search inside the servable."""

    kind: Literal["scann", "exact"] = "scann"
    candidates: int = Field(100, ge=1)  # N: what retrieval hands to ranking.
    recommendations: int = Field(10, ge=1)  # K: what a request gets.
    recall: float = Field(0.98, gt=0, le=1)  # Share of the true N that the search has to find; the fastest that does.


class Threshold(_Strict):
    """A limit on one figure of the Evaluator: `at_least` or `at_most`, absolute or times what it is compared with."""

    metric: str  # A name under `metrics` in report.json.
    slice: str | None = None  # As under `metrics.slices`; None: all queries.
    against: Literal["popularity", "live"] | None = None  # Times this figure of the baseline, or of the live model.
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> Threshold:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("needs either at_least or at_most")
        return self

    @property
    def limit(self) -> float:
        return self.at_most if self.at_least is None else self.at_least

    def admits(self, value: float, reference: float = 1.0) -> bool:
        """Whether a value is within the limit times the reference."""
        bound = self.limit * reference
        return value <= bound if self.at_least is None else value >= bound


_THRESHOLDS: dict[str, dict[str, Any]] = {
    "rating_error": {"metric": "rmse_over_constant", "at_most": 1.0},
    "better_than_popularity": {
        "metric": "filtered_top_100_categorical_accuracy",
        "against": "popularity",
        "at_least": 1.05,
    },
    "nothing_seen": {"metric": "seen_share", "at_most": 0.0},
    "index_recall": {"metric": "recall_at_100", "at_least": 0.95},
    "train_serve_parity": {"metric": "train_serve_difference", "at_most": 1e-3},
    "retrieval_kept": {"metric": "filtered_top_100_categorical_accuracy", "against": "live", "at_least": 0.95},
    "lists_kept": {"metric": "ndcg_at_10_after", "against": "live", "at_least": 0.85},
    "rating_error_kept": {"metric": "rmse", "against": "live", "at_most": 1.03},
} | {
    f"{name}_kept": {
        "metric": "filtered_top_100_categorical_accuracy",
        "slice": slice_,
        "against": "live",
        "at_least": at_least,
    }
    for name, slice_, at_least in (
        ("head", "movie=head", 0.9),
        ("middle", "movie=middle", 0.8),
        ("tail", "movie=tail", 0.6),
        ("warm_users", "user=warm", 0.9),
        ("cold_users", "user=cold", 0.85),
        ("long_history", "history=long", 0.9),
        ("short_history", "history=short", 0.8),
    )
}


def _merged(thresholds: dict[str, dict[str, Any]], changes: dict[str, Any]) -> dict[str, Any]:
    """A changed key of a threshold leaves its others as they are; null takes a threshold out."""
    merged = {name: dict(values) for name, values in thresholds.items()}
    for name, values in changes.items():
        changed = isinstance(values, dict) and name in merged
        merged[name] = merged[name] | values if changed else values
    return merged


class Evaluation(_Strict):
    """What a model has to reach to be blessed.

    Thresholds are given by name. Those of `_THRESHOLDS` are there from the start: a configuration changes a key of
    one, adds others, or takes one out by giving null.
    """

    thresholds: dict[str, Threshold | None] = {}
    min_slice_queries: int = Field(200, ge=1)  # Smaller slices are neither reported nor held to thresholds.
    parity_rows: int = Field(512, ge=1)  # Eval rows whose scores are compared between training and serving.

    @field_validator("thresholds", mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        return _merged(_THRESHOLDS, given) if isinstance(given, dict) else given

    def changed(self, thresholds: dict[str, Any]) -> Evaluation:
        """With changes on top, by name and key as in a configuration. Raises ValidationError."""
        present = self.model_dump()["thresholds"]
        merged = present | _merged({name: values for name, values in present.items() if values}, thresholds)
        return Evaluation.model_validate(self.model_dump(exclude={"thresholds"}) | {"thresholds": merged})

    def active_thresholds(self) -> dict[str, Threshold]:
        """Those that were not taken out."""
        return {name: threshold for name, threshold in self.thresholds.items() if threshold}


class Canary(_Strict):
    """How the server on a candidate is asked before the push."""

    image: str | None = (
        None  # A container image, run with docker, as google/tf-serving-scann; None: `recommender serve`.
    )
    users: int = Field(50, ge=1)  # Users of the eval split that are asked about.
    batch: int = Field(1000, ge=1)  # Queries in the large request.
    max_milliseconds: float = Field(500.0, gt=0)  # Median answer to one query.
    ready_seconds: float = Field(120.0, gt=0)


class Resources(_Strict):
    """What a step asks of its node, and may use."""

    cpu: float = Field(1.0, gt=0)
    memory_gb: float = Field(4.0, gt=0)


class Kubeflow(_Strict):
    """How the steps run on Kubeflow Pipelines."""

    image: str = "recommender-pipeline:0.1.0"
    # By component; a configuration changes single ones. Others get `Resources()`.
    resources: dict[str, Resources] = {}
    gpus: int = Field(0, ge=0)  # For each Trainer.
    gpu_resource: str = "nvidia.com/gpu"  # The cluster's name for one.
    # Environment of every step: keys of Secrets and ConfigMaps by their names, as credentials of the object store.
    secrets: dict[str, list[str]] = {}
    config_maps: dict[str, list[str]] = {}
    retries: int = Field(2, ge=0)
    backoff_seconds: int = Field(30, ge=1)  # Before the first retry; doubles with each.
    # For the components that use Beam: another runner's, as Flink's, Spark's or Dataflow's, run them on that engine.
    beam_args: list[str] = Field(default_factory=lambda: list(IN_PROCESS))

    @field_validator("resources", mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        return _RESOURCES | given if isinstance(given, dict) else given


_RESOURCES: dict[str, Any] = {
    name: {"cpu": 2.0, "memory_gb": 8.0}
    for name in (
        "InteractionGen",
        "StatisticsGen",
        "Transform",
        "Trainer.retrieval",
        "Trainer.ranking",
        "RecommenderBuilder",
        "Evaluator",
        "Canary",
    )
}


class Config(_Strict):
    """A run's whole configuration."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    data: Data
    split: Split = Split()
    transform: Transform = Transform()
    retrieval: Retrieval = Retrieval()
    ranking: Ranking = Ranking()
    index: Index = Index()
    evaluation: Evaluation = Evaluation()
    canary: Canary = Canary()
    kubeflow: Kubeflow = Kubeflow()


def config_names() -> list[str]:
    """Names that `load_config` knows, those of the files in `pipeline/configs/`."""
    return sorted(path.stem for path in CONFIG_DIR.glob("*.yaml"))


def load_config(name_or_file: str, overrides: list[str] = (), default_name: str | None = None, **values: Any) -> Config:
    """Reads a configuration by its name or from a YAML file.

    Args:
      name_or_file: one of `config_names()`, or the path of a YAML file.
      overrides: `section.key=value` strings; values are read as YAML.
      default_name: of the run, where neither the file nor `overrides` give one; None: the file's.
      **values: dotted keys given as `section__key`, used where not None.

    Raises:
      UserError: no such file, bad YAML, or a field that is unknown or out of range.
    """
    path = CONFIG_DIR / f"{name_or_file}.yaml"
    if not path.exists():
        path = Path(name_or_file)
    if not path.is_file():
        raise UserError(f"no configuration {name_or_file!r}: give a YAML file or one of {', '.join(config_names())}")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a YAML file: {error}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path} has to hold a mapping with at least the key `data`")
    tree.setdefault("name", default_name or path.stem)
    if path.parent != CONFIG_DIR and isinstance(tree.get("data"), dict):
        given = tree["data"].get("directory")
        if given is None or (isinstance(given, str) and not storage.is_remote(given)):
            tree["data"]["directory"] = os.path.join(path.parent, given or "")
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"--set {override}: expected section.key=value, as in retrieval.epochs=3")
        try:
            _put(tree, key, yaml.safe_load(value), f"--set {override}")
        except yaml.YAMLError as error:
            raise UserError(f"--set {override}: {value!r} is not YAML: quote it, as in '\"{value}\"'") from error
    for key, value in values.items():
        if value is not None:
            _put(tree, key.replace("__", "."), value, key)
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise UserError(f"configuration {path.name}: " + "; ".join(lines)) from error
    if config.data.directory:
        config.data.directory = storage.absolute(config.data.directory)
    return config


def _put(tree: dict, dotted_key: str, value: Any, source: str) -> None:
    *parents, last = dotted_key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(f"{source}: {parent} is a value, not a section")
    tree[last] = value


Data.model_rebuild()
