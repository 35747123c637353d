"""Digests of what a run is made from: a change in them makes what is cached stale."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import grimp

from models.errors import UserError

if TYPE_CHECKING:
    from pipeline.config import Config

_ROOT = Path(__file__).parent.parent
_PACKAGES = ("components", "models", "pipeline", "serving")
# What decides what a model is, from the rows to the servable.
_MODEL_MODULES = (
    "components.interaction_gen.component",
    "components.item_gen.component",
    "models.features.schema",
    "components.transform.component",
    "components.recommender_trainer.component",
    "models.retrieval",
    "models.ranking",
    "components.recommender_builder.component",
)


def model_origin(config: Config, data_fingerprint: str) -> str:
    """Digest of all that decides what the model is: data, configuration, code."""
    settings = config.model_dump_json(exclude={"drift", "evaluation", "infra_validator", "kubeflow"})
    code = code_fingerprint(*_MODEL_MODULES, *(["components.refitter.component"] if config.refit else []))
    return hashlib.sha256(f"{settings}-{data_fingerprint}-{code}".encode()).hexdigest()[:16]


def code_fingerprint(*modules: str) -> str:
    """Digest of the sources of modules of this project, and of all its modules that they import.

    Raises:
      UserError: the sources are in an archive.
    """
    digest = hashlib.sha256()
    for module in sorted(_with_imported(modules)):
        digest.update(module.encode() + _source(module).read_bytes())
    return digest.hexdigest()[:16]


def _with_imported(modules: Iterable[str]) -> set[str]:
    graph = _imports()
    found = set(modules).union(*map(graph.find_upstream_modules, modules))
    parents = {module.rpartition(".")[0] for module in found}  # Python runs a package before its modules.
    while parents := parents - found - {""}:
        found |= parents
        parents = {module.rpartition(".")[0] for module in parents}
    return found


@functools.cache
def _imports() -> grimp.ImportGraph:
    if not (_ROOT / "models" / "__init__.py").is_file():
        raise UserError(f"no source files under {_ROOT}: install the package from a directory, not from an archive")
    return grimp.build_graph(*_PACKAGES, cache_dir=None)


def _source(module: str) -> Path:
    path = _ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
