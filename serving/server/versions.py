"""The versions of one model: which are on disk, which are wanted, which are loaded."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from dataclasses import dataclass

import grpc
import tensorflow as tf
from tensorflow_serving.config import model_server_config_pb2

from serving.codec.errors import RequestError, invalid
from serving.server.model import LoadedModel, ModelOptions
from serving.version_names import parse_versions

_ROUNDS = 10

_log = logging.getLogger("recommender.serving")


@dataclass
class VersionStatus:
    """State of a version, by the names of TensorFlow Serving's ModelVersionStatus."""

    version: int
    state: str
    error_code: int = 0
    error_message: str = ""

    @property
    def error_name(self) -> str:
        """The code's name."""
        return next(code.name for code in grpc.StatusCode if code.value[0] == self.error_code)


class Loading:
    """How versions are loaded.

    Args:
      model: options of each.
      at_once: how many load at the same time. One leaves processors for requests.
      retries: how often one that fails is tried again, though its files stay the same.
      retry_seconds: time before that.
    """

    def __init__(
        self, model: ModelOptions | None = None, at_once: int = 1, retries: int = 0, retry_seconds: float = 60.0
    ):
        self.model, self.retries, self.retry_seconds = model or ModelOptions(), retries, retry_seconds
        self.turns = asyncio.Semaphore(at_once)


@dataclass
class _Failure:
    """A version that has not loaded: its files as they were, how often it was tried, and when it may be again."""

    files: tuple
    tries: int
    again_at: float


class ModelVersions:
    """Keeps the wanted versions of a model loaded.

    A new version is loaded, and answers its warm-up requests, before an old one is unloaded. One that does not load is
    reported, otherwise ignored, and tried again once its files change.

    Args:
      config: name, base path and version policy. Names below the base path that are no integers are ignored.
      loading: how.

    Attributes:
      labels: those in force, which need not be the configuration's. Their versions stay loaded while they are on disk.
    """

    def __init__(self, config: model_server_config_pb2.ModelConfig, loading: Loading | None = None):
        self.config, self._loading = config, loading or Loading()
        self._loaded: dict[int, LoadedModel] = {}
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, _Failure] = {}
        self._names: dict[int, str] = {}  # Directory names.
        self.labels: dict[str, int] = {}

    @property
    def ready(self) -> bool:
        """Whether any version can answer."""
        return bool(self._loaded)

    def has(self, version: int) -> bool:
        """Whether a version is loaded."""
        return version in self._loaded

    def find(self, version: int | None, label: str = "") -> LoadedModel:
        """The loaded version that a request asks for; None is the newest.

        Raises:
          RequestError: there is none, or no such label.
        """
        if label:
            if label not in self.labels:
                raise unknown_label(label)
            version = self.labels[label]
        if version is None and self._loaded:
            return self._loaded[max(self._loaded)]
        if version in self._loaded:
            return self._loaded[version]
        wanted = f"Latest({self.config.name})" if version is None else f"Specific({self.config.name}, {version})"
        raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")

    def statuses(self, version: int | None) -> list[VersionStatus]:
        """Versions that are or were on disk, the newest first. Raises RequestError if there are none."""
        known = [status for status in self.known() if version in (None, status.version)]
        if not known:
            which = "any versions" if version is None else f"version {version}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {self.config.name}")
        return known

    def known(self) -> list[VersionStatus]:
        """Versions that are or were on disk, the newest first."""
        return sorted(self._statuses.values(), key=lambda status: -status.version)

    async def refresh(self) -> None:
        """Looks at the disk once: loads wanted versions, then unloads the others. A disk error is only logged."""
        try:
            for _ in range(_ROUNDS):  # If one does not load, another is wanted in its place.
                wanted, intended = await asyncio.to_thread(self._wanted)
                missing = [version for version in wanted if version not in self._loaded]
                await asyncio.gather(*map(self._load, missing))
                if not missing:
                    break
        except (OSError, tf.errors.OpError) as error:
            _log.warning("%s: cannot look below %s: %s", self.config.name, self.config.base_path, error)
            return
        kept = {*wanted, *(version for version in self.labels.values() if version in self._names)}
        unwanted = [version for version in self._loaded if version not in kept]
        if unwanted and (not intended or any(version in self._loaded for version in wanted)):
            self._unload(unwanted)

    def unload_all(self) -> None:
        """Unloads every version. Requests that have their model are finished."""
        self._unload(list(self._loaded))

    def _wanted(self) -> tuple[list[int], list[int]]:
        """The versions that the policy chooses among those not known to fail, and among all on disk."""
        base_path = self.config.base_path
        if not tf.io.gfile.isdir(base_path):
            return list(self._loaded), list(self._loaded)  # A disk out of reach is no reason to stop serving.
        self._names = versions_below(base_path)
        for version in list(self._failed):
            if version not in self._names:
                del self._failed[version]
        on_disk = sorted(self._names, reverse=True)
        return self._chosen([version for version in on_disk if not self._has_failed(version)]), self._chosen(on_disk)

    def _has_failed(self, version: int) -> bool:
        """Whether a version did not load, and there is no reason to try it again."""
        failure = self._failed.get(version)
        if failure is None:
            return False
        if _files(self._path(version)) != failure.files:
            del self._failed[version]
            return False
        return failure.tries > self._loading.retries or time.monotonic() < failure.again_at

    def _chosen(self, versions: list[int]) -> list[int]:
        """The versions that the policy chooses, the newest first."""
        policy = self.config.model_version_policy
        if policy.HasField("specific"):
            return [version for version in versions if version in policy.specific.versions]
        return versions if policy.HasField("all") else versions[: policy.latest.num_versions or 1]

    def _path(self, version: int) -> str:
        return os.path.join(self.config.base_path, self._names[version])

    async def _load(self, version: int) -> None:
        status = self._statuses[version] = VersionStatus(version, "START")
        path = self._path(version)
        async with self._loading.turns:
            status.state = "LOADING"
            files = await asyncio.to_thread(_files, path)
            try:
                self._loaded[version] = await asyncio.to_thread(LoadedModel, path, version, self._loading.model)
            except Exception as error:
                _log.warning("%s: version %d does not load: %s", self.config.name, version, error)
                tries = self._failed[version].tries + 1 if version in self._failed else 1
                self._failed[version] = _Failure(files, tries, time.monotonic() + self._loading.retry_seconds)
                code = error.code if isinstance(error, RequestError) else grpc.StatusCode.UNKNOWN
                status.state, status.error_code = "END", code.value[0]
                status.error_message = str(error) or type(error).__name__
                return
        self._failed.pop(version, None)
        status.state = "AVAILABLE"
        _log.info("%s: serving version %d", self.config.name, version)

    def _unload(self, versions: list[int]) -> None:
        for version in versions:
            del self._loaded[version]
            self._statuses[version].state = "END"
            _log.info("%s: version %d is no longer served", self.config.name, version)
        gc.collect()  # A graph is full of cycles. The session goes with its last request.


def unknown_label(label: str) -> RequestError:
    return invalid(f"Unrecognized servable version label: {label}")


def versions_below(base_path: str) -> dict[int, str]:
    """Directory names of the versions that have a `saved_model.pb`, by version; none if there is no such base path."""
    if not tf.io.gfile.isdir(base_path):
        return {}
    names = [name.rstrip("/") for name in tf.io.gfile.listdir(base_path)]
    return {
        version: name
        for version, name in parse_versions(names).items()
        if _may_be_there(os.path.join(base_path, name, "saved_model.pb"))
    }


def _may_be_there(path: str) -> bool:
    """Whether there is a file, or nobody can say: then its version is one that does not load."""
    if "://" in path:
        return tf.io.gfile.exists(path)
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        pass
    return True


def _files(path: str) -> tuple:
    """Names, sizes and times of the files of a version, as far as they can be read."""
    files: list[tuple] = []
    walk = tf.io.gfile.walk if "://" in path else os.walk  # Which does not go round in circles of links.
    try:
        for directory, directories, names in walk(path):
            for name in [*directories, *names]:
                files.append((directory, name, *_size_and_time(os.path.join(directory, name))))
    except (OSError, tf.errors.OpError) as error:
        files.append((str(error),))
    return tuple(sorted(files))


def _size_and_time(path: str) -> tuple[int, int]:
    try:
        stat = tf.io.gfile.stat(path)
    except (OSError, tf.errors.OpError):
        return (-1, -1)
    return stat.length, stat.mtime_nsec
