"""Where pushed models are: a directory that a model server watches, or an object store that `serving.sync` mirrors."""

from __future__ import annotations

import os
import shutil
import tempfile
import time

from tensorflow.saved_model import SAVED_MODEL_FILENAME_PB
from tfx.utils import io_utils

from components import locks
from components.storage import is_remote
from serving import archives
from serving.version_names import parse_versions


class Directory:
    """A directory with a sub-directory for each version, which appears by a rename and so whole."""

    def __init__(self, path: str):
        self._path = path

    def versions(self) -> list[int]:
        """Versions that hold a whole model, in rising order."""
        return [version for version in self._names() if os.path.isfile(self._file(version, SAVED_MODEL_FILENAME_PB))]

    def add(self, model_dir: str) -> tuple[int, str]:
        """Copies a SavedModel, from wherever it is; returns its version and where it went.

        Left-overs of a killed push are removed. A push that is under way is waited for.
        """
        os.makedirs(self._path, exist_ok=True)
        with locks.held(self._path):
            for name in os.listdir(self._path):
                if name.startswith(archives.SCRATCH_PREFIX):
                    shutil.rmtree(os.path.join(self._path, name))
            version = _next_version(self._names())
            scratch = os.path.join(self._path, f"{archives.SCRATCH_PREFIX}{version}")
            destination = os.path.join(self._path, str(version))
            io_utils.copy_dir(model_dir, scratch)
            os.rename(scratch, destination)
        return version, destination

    def copy(self, version: int, directory: str) -> None:
        """Copies a version to wherever `directory` is."""
        io_utils.copy_dir(os.path.join(self._path, str(version)), directory)

    def place(self, version: int) -> str:
        """Where a version is."""
        return os.path.join(self._path, str(version))

    def remove(self, version: int) -> None:
        """Takes a version away at once, so that a server sees a whole one or none; then deletes it."""
        scratch = os.path.join(self._path, f"{archives.SCRATCH_PREFIX}{version}")
        with locks.held(self._path):
            shutil.rmtree(scratch, ignore_errors=True)
            os.rename(self.place(version), scratch)
            shutil.rmtree(scratch)

    def read(self, version: int, name: str) -> bytes | None:
        """One file of a version; None where it has no such file."""
        path = self._file(version, name)
        if not os.path.exists(path):
            return None
        with open(path, "rb") as file:
            return file.read()

    def _names(self) -> list[int]:
        names = os.listdir(self._path) if os.path.isdir(self._path) else []
        return sorted(parse_versions(names))

    def _file(self, version: int, name: str) -> str:
        return os.path.join(self._path, str(version), name)


class Store:
    """An object store with an archive for each version, which appears by a single write and so whole.

    A killed push leaves nothing there.
    """

    def __init__(self, url: str):
        self._url = url

    def versions(self) -> list[int]:
        """All versions, in rising order."""
        return archives.versions(self._url)

    def add(self, model_dir: str) -> tuple[int, str]:
        """As for `Directory`, but that a store has no locks: two pushes in one second leave the later one's model."""
        version = _next_version(self.versions())
        with tempfile.TemporaryDirectory() as scratch:
            local = os.path.join(scratch, "model")
            io_utils.copy_dir(model_dir, local)
            return version, archives.upload(local, self._url, version)

    def copy(self, version: int, directory: str) -> None:
        """As for `Directory`."""
        with tempfile.TemporaryDirectory() as scratch:
            local = os.path.join(scratch, "model")
            archives.download(self._url, version, local)
            io_utils.copy_dir(local, directory)

    def place(self, version: int) -> str:
        """As for `Directory`."""
        return archives.address(self._url, version)

    def remove(self, version: int) -> None:
        """As for `Directory`."""
        archives.remove(self._url, version)

    def read(self, version: int, name: str) -> bytes | None:
        """As for `Directory`."""
        return archives.read(self._url, version, name)


def destination(path: str) -> Directory | Store:
    """The push destination at a path or an address."""
    return Store(path.rstrip("/")) if is_remote(path) else Directory(path)


def push(model_dir: str, path: str) -> tuple[int, str]:
    """Makes a SavedModel a new version of the push destination at `path`; returns the version and where it is."""
    return destination(path).add(model_dir)


def _next_version(versions: list[int]) -> int:
    """The time in seconds, or one more than the highest that is there."""
    return max([int(time.time()), *(version + 1 for version in versions)])
