"""Which names of directories and archives are versions: the integers that TensorFlow Serving accepts."""

from __future__ import annotations

_MAX_VERSION = (1 << 63) - 1
_MAX_DIGITS = 4000  # Of a name, zeros in front included; Python reads no more.


def parse_version(name: str) -> int | None:
    """The version that a name stands for; None if it is no version's name."""
    version = int(name) if name.isascii() and name.isdigit() and len(name) <= _MAX_DIGITS else None
    return None if version is None or version > _MAX_VERSION else version


def parse_versions(names: list[str]) -> dict[int, str]:
    """The names that stand for versions, by version."""
    return {version: name for name in names if (version := parse_version(name)) is not None}
