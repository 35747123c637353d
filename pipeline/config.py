"""The configuration of a run: composed here of the sections, whose settings stand beside what they are for."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from components import storage
from components.beam_args import IN_PROCESS
from components.drift_validator.settings import Drift
from components.evaluator.settings import Evaluation
from components.infra_validator.settings import InfraValidation
from components.interaction_gen.settings import Split
from components.recommender_builder.settings import Index
from models.errors import UserError
from models.features.feature_set import FeatureSet, Histories
from models.settings import Ranking, Retrieval, Settings, Transform
from pipeline import steps
from pipeline.data.settings import Data
from pipeline.options import PACKAGE

CONFIG_DIR = Path(__file__).parent / "configs"


class Resources(Settings):
    """What a step asks of its node, and may use."""

    cpu: float = Field(1.0, gt=0)
    memory_gb: float = Field(4.0, gt=0)


class Kubeflow(Settings):
    """How the steps run on Kubeflow Pipelines."""

    image: str = Field(default_factory=lambda: f"{PACKAGE}:{metadata.version(PACKAGE)}")
    # By component; a configuration changes single ones. Others get `Resources()`.
    resources: dict[str, Resources] = {}
    gpus: int = Field(0, ge=0)  # For each Trainer.
    gpu_resource: str = "nvidia.com/gpu"  # The cluster's name for one.
    # Environment of every step: keys of Secrets and ConfigMaps by their names, as credentials of the object store.
    secrets: dict[str, list[str]] = {}
    config_maps: dict[str, list[str]] = {}
    retries: int = Field(2, ge=0)
    backoff_seconds: int = Field(30, ge=1)  # Before the first retry; doubles with each.
    # From the start of a step's first attempt to the end of its last: Argo stops a retry that runs on after that.
    backoff_max_seconds: int = Field(3600, ge=1)
    # For the components that use Beam: another runner's, as Flink's, Spark's or Dataflow's, run them on that engine.
    beam_args: list[str] = Field(default_factory=lambda: list(IN_PROCESS))

    @field_validator("resources", mode="before")
    @classmethod
    def _with_defaults(cls, given: Any) -> Any:
        return _RESOURCES | given if isinstance(given, dict) else given


_RESOURCES: dict[str, Any] = {step.value: {"cpu": 2.0, "memory_gb": 8.0} for step in steps.LARGE}


class Config(Settings):
    """A run's whole configuration."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    repeats: bool = False  # Whether a user may be recommended again what the user has had, as groceries or music.
    # Whether the Trainers go on from the live model's weights, in fewer epochs, instead of beginning anew.
    warm_start: bool = False
    refit: bool = False  # Whether a blessed model makes a pass over the eval rows before it is pushed.
    data: Data
    split: Split = Split()
    transform: Transform = Transform()
    retrieval: Retrieval = Retrieval()
    ranking: Ranking = Ranking()
    index: Index = Index()
    evaluation: Evaluation = Evaluation()
    drift: Drift = Drift()
    infra_validator: InfraValidation = InfraValidation()
    kubeflow: Kubeflow = Kubeflow()

    @model_validator(mode="after")
    def _rules_of_known_features(self) -> Config:
        self.index.check(self.features(with_users=True))
        return self

    def features(self, *, with_users: bool) -> FeatureSet:
        """What the data has, with the features of users only where their table is there."""
        histories = Histories(
            length=self.split.history_length, both_sides=self.split.kind == "random", repeats=self.repeats
        )
        return self.data.features(histories, with_users=with_users)


def config_names() -> list[str]:
    """Names that `load_config` knows, those of the files in `pipeline/configs/`."""
    return sorted(path.stem for path in CONFIG_DIR.glob("*.yaml"))


def as_name(text: str) -> str:
    """The name of a run that is made of that of a file or directory; "" where nothing fits."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")


def load_config(
    name_or_file: str, overrides: Sequence[str] = (), default_name: str | None = None, **values: Any
) -> Config:
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
    tree.setdefault("name", default_name or as_name(path.stem) or "recommender")
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
        raise UserError(f"configuration {path.name}: " + "; ".join(map(_line, error.errors()))) from error
    if config.data.directory:
        config.data.directory = storage.absolute(config.data.directory)
    return config


def _line(error: Any) -> str:
    """What is wrong, after the path of its key. A message of ours that begins with a dot goes on with the path."""
    path = list(map(str, error["loc"]))
    for section in ("features", "context"):
        if section in path[:-2]:  # Pydantic puts a feature's kind behind its name.
            del path[path.index(section) + 2]
    message = error["msg"].removeprefix("Value error, ")
    if error["type"].startswith("union_tag"):
        path.append("kind")
        message = f"give one of {error['ctx']['expected_tags']}" if "expected_tags" in error["ctx"] else "give a kind"
    if not path:  # What only the sections together can tell.
        return message
    return ".".join(path) + (message if message.startswith(".") else f": {message}")


def _put(tree: dict, dotted_key: str, value: Any, source: str) -> None:
    *parents, last = dotted_key.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise UserError(f"{source}: {parent} is a value, not a section")
    tree[last] = value
