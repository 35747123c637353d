"""Finds versions below a base path, and keeps the newest one loaded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass

import grpc

from serving.server.model import LoadedModel
from serving.server.status import RequestError

_POLL_SECONDS = 1.0
_log = logging.getLogger("recommender.serving")


@dataclass
class VersionStatus:
    """State of a version, by the names of TensorFlow Serving's ModelVersionStatus."""

    version: int
    state: str
    error_code: int = 0
    error_message: str = ""


class VersionManager:
    """Serves the newest version of one model; loads a newer one before it lets go of the old one.

    Args:
      name: the model's name in requests.
      base_path: directory of numbered versions. Names that are no integers are ignored.
    """

    def __init__(self, name: str, base_path: str):
        self.name = name
        self._base_path = base_path
        self._current: LoadedModel | None = None
        self._statuses: dict[int, VersionStatus] = {}
        self._watcher: asyncio.Task | None = None

    async def start(self) -> None:
        """Loads what is there, then goes on watching."""
        await self._refresh()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        self._watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watcher

    @property
    def ready(self) -> bool:
        return self._current is not None

    def find(self, name: str, version: int | None) -> LoadedModel:
        """The loaded model that a request means. Raises RequestError, NOT_FOUND, if there is none."""
        if name == self.name and self._current and version in (None, self._current.version):
            return self._current
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")

    def statuses(self, name: str, version: int | None) -> list[VersionStatus]:
        """Versions that are or were there, the newest first. Raises RequestError, NOT_FOUND, if there are none."""
        known = [status for status in self._statuses.values() if version in (None, status.version)]
        if name != self.name or not known:
            which = f" version {version}" if version is not None else ""
            message = f"Could not find{which or ' any versions'} of model {name}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, message)
        return sorted(known, key=lambda status: -status.version)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await self._refresh()
            except OSError:
                _log.exception("cannot read %s", self._base_path)

    async def _refresh(self) -> None:
        newest = max(versions_below(self._base_path), default=None)
        if newest is None or newest in self._statuses:
            return
        status = self._statuses[newest] = VersionStatus(newest, "LOADING")
        path = os.path.join(self._base_path, str(newest))
        try:
            model = await asyncio.to_thread(LoadedModel, path, newest)
        except Exception as error:
            _log.exception("version %d does not load", newest)
            status.state, status.error_code, status.error_message = "END", grpc.StatusCode.UNKNOWN.value[0], str(error)
            return
        previous, self._current = self._current, model
        status.state = "AVAILABLE"
        _log.info("serving version %d", newest)
        if previous is not None:
            self._statuses[previous.version].state = "END"


def versions_below(base_path: str) -> list[int]:
    """The numbers of the versions that are complete enough to load."""
    return [
        int(name)
        for name in os.listdir(base_path)
        if name.isdigit() and os.path.exists(os.path.join(base_path, name, "saved_model.pb"))
    ]
