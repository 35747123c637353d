"""Digests of what a run is made from: a change in them makes what is cached stale."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import UserError

_ROOT = Path(__file__).parent.parent


def model_origin(config: Config, data_fingerprint: str) -> str:
    """Digest of all that decides what the model is: data, configuration, code."""
    what = config.model_dump_json(exclude={"evaluation", "canary", "kubeflow"})
    code = code_fingerprint("pipeline", "components")
    return hashlib.sha256(f"{what}-{data_fingerprint}-{code}".encode()).hexdigest()[:16]


def code_fingerprint(*packages: str) -> str:
    """Digest of the sources of packages.

    Raises:
      UserError: they are in an archive.
    """
    digest = hashlib.sha256()
    files = sorted(path for package in packages for path in (_ROOT / package).rglob("*.py"))
    if not files:
        raise UserError(f"no source files under {_ROOT}: install the package from a directory, not from an archive")
    for path in files:
        digest.update(str(path.relative_to(_ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
