"""Which names of directories and archives are versions: the integers that TensorFlow Serving takes for one."""

from __future__ import annotations

_MAX_VERSION = (1 << 63) - 1


def parse_version(name: str) -> int | None:
    """The version that a name means; None where it means none."""
    version = int(name) if name.isascii() and name.isdigit() else None
    return None if version is None or version > _MAX_VERSION else version


def parse_versions(names: list[str]) -> dict[int, str]:
    """Names by the versions that they mean, of those that mean any."""
    return {version: name for name in names if (version := parse_version(name)) is not None}
