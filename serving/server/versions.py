"""The versions of one model: which are on disk, which are wanted, which are loaded."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from dataclasses import dataclass

import grpc
import tensorflow as tf
from tensorflow_serving.config import model_server_config_pb2

from serving.server.model import LoadedModel
from serving.server.status import RequestError

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


class ModelVersions:
    """Keeps the wanted versions of a model loaded.

    A new version is loaded, and answers its warm-up requests, before an old one is let go. One that does not load is
    reported, counts as if it were not there, and is tried again once its files change.

    Args:
      config: name, base path, version policy and labels. Names below the base path that are no integers are ignored.
    """

    def __init__(self, config: model_server_config_pb2.ModelConfig):
        self.config = config
        self._loaded: dict[int, LoadedModel] = {}
        self._statuses: dict[int, VersionStatus] = {}
        self._failed: dict[int, tuple] = {}  # What the files were like.

    @property
    def ready(self) -> bool:
        """Whether any version can answer."""
        return bool(self._loaded)

    def has(self, version: int) -> bool:
        """Whether a version is loaded."""
        return version in self._loaded

    def find(self, version: int | None, label: str = "") -> LoadedModel:
        """The loaded version that a request means; None is the newest.

        Raises:
          RequestError: there is none, or no such label.
        """
        if label:
            if label not in self.config.version_labels:
                raise RequestError(grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
            version = self.config.version_labels[label]
        if version is None and self._loaded:
            return self._loaded[max(self._loaded)]
        if version in self._loaded:
            return self._loaded[version]
        wanted = f"Latest({self.config.name})" if version is None else f"Specific({self.config.name}, {version})"
        raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")

    def statuses(self, version: int | None, label: str = "") -> list[VersionStatus]:
        """Versions that are or were there, the newest first. Raises RequestError if there are none."""
        if label:
            version = self.find(None, label).version
        known = [status for status in self._statuses.values() if version in (None, status.version)]
        if not known:
            which = "any versions" if version is None else f"version {version}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {self.config.name}")
        return sorted(known, key=lambda status: -status.version)

    async def refresh(self) -> None:
        """Looks at the disk once: loads what is wanted, then lets go of what is not."""
        wanted = await asyncio.to_thread(self._wanted)
        for version in wanted:
            if version not in self._loaded:
                await self._load(version)
        unwanted = [version for version in self._loaded if version not in wanted]
        if unwanted and (not wanted or any(version in self._loaded for version in wanted)):
            for version in unwanted:
                self._unload(version)
            gc.collect()  # A graph is full of cycles; the session has gone with its last request.

    def unload_all(self) -> None:
        """Lets go of every version. Requests that are under way are finished."""
        for version in list(self._loaded):
            self._unload(version)

    def _wanted(self) -> list[int]:
        """What the policy wants of the versions on disk, leaving out those that are known not to load."""
        base_path = self.config.base_path
        found = versions_below(base_path)
        for version, files in list(self._failed.items()):
            if version not in found or _files(os.path.join(base_path, str(version))) != files:
                del self._failed[version]
        usable = sorted((version for version in found if version not in self._failed), reverse=True)
        policy = self.config.model_version_policy
        if policy.HasField("specific"):
            return [version for version in usable if version in policy.specific.versions]
        return usable if policy.HasField("all") else usable[: policy.latest.num_versions or 1]

    async def _load(self, version: int) -> None:
        status = self._statuses[version] = VersionStatus(version, "LOADING")
        path = os.path.join(self.config.base_path, str(version))
        files = await asyncio.to_thread(_files, path)
        try:
            self._loaded[version] = await asyncio.to_thread(LoadedModel, path, version)
        except Exception as error:
            _log.warning("%s: version %d does not load: %s", self.config.name, version, error)
            self._failed[version] = files
            code = error.code if isinstance(error, RequestError) else grpc.StatusCode.UNKNOWN
            status.state, status.error_code = "END", code.value[0]
            status.error_message = str(error) or type(error).__name__
            return
        status.state = "AVAILABLE"
        _log.info("%s: serving version %d", self.config.name, version)

    def _unload(self, version: int) -> None:
        del self._loaded[version]
        self._statuses[version].state = "END"
        _log.info("%s: version %d is no longer served", self.config.name, version)


def versions_below(base_path: str) -> list[int]:
    """The numbers of the versions that are complete enough to load; none where there is no such directory."""
    if not tf.io.gfile.isdir(base_path):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(base_path))
    return [
        int(name)
        for name in names
        if name.isdigit() and tf.io.gfile.exists(os.path.join(base_path, name, "saved_model.pb"))
    ]


def _files(path: str) -> tuple:
    """Names, sizes and times of all files below a directory."""
    found = []
    for directory, _, names in tf.io.gfile.walk(path):
        for name in names:
            stat = tf.io.gfile.stat(os.path.join(directory, name))
            found.append((directory, name, stat.length, stat.mtime_nsec))
    return tuple(sorted(found))
