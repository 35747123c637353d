"""The models that a server has, by name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import grpc
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import ServingError
from serving.server.model import LoadedModel
from serving.server.status import RequestError, invalid
from serving.server.versions import ModelVersions, VersionStatus

_UNAVAILABLE = "Request to assign label {} of model {} to a version which is not currently available for inference"

_log = logging.getLogger("recommender.serving")

_ReadConfig = Callable[[], model_server_config_pb2.ModelServerConfig]


class Target(NamedTuple):
    """The model and version that a request asks for: the newest, unless it gives a version or a label."""

    name: str
    version: int | None = None
    label: str = ""

    @classmethod
    def of_spec(cls, spec: model_pb2.ModelSpec) -> Target:
        version = spec.version.value if spec.HasField("version") else None
        return cls(spec.name, version, spec.version_label)


class Registry:
    """Models, kept up to date with the disk and with the configuration.

    Args:
      report: called after each look at the disk with whether every model can answer.
    """

    def __init__(self, report: Callable[[bool], Awaitable[None]]):
        self._models: dict[str, ModelVersions] = {}
        self._report = report
        self._updating = asyncio.Lock()  # One load at a time leaves processors for requests.
        self._watchers: list[asyncio.Task] = []
        self._closing = False

    @property
    def names(self) -> list[str]:
        """The models' names."""
        return list(self._models)

    @property
    def waiting(self) -> list[str]:
        """Names of the models that have no version to answer with."""
        return [name for name, model in self._models.items() if not model.ready]

    @property
    def ready(self) -> bool:
        """Whether every model can answer."""
        return bool(self._models) and not self.waiting

    def find(self, target: Target) -> LoadedModel:
        """The version that a request asks for. Raises RequestError if it is not loaded, or after `close`."""
        if self._closing:
            raise RequestError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
        if target.name not in self._models:
            wanted = (
                f"Latest({target.name})" if target.version is None else f"Specific({target.name}, {target.version})"
            )
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")
        return self._models[target.name].find(target.version, target.label)

    def statuses(self, target: Target) -> list[VersionStatus]:
        """Versions of a model, the newest first. Raises RequestError if there are none."""
        if target.name not in self._models:
            message = f"Could not find any versions of model {target.name}"
            raise RequestError(grpc.StatusCode.NOT_FOUND, message)
        return self._models[target.name].statuses(target.version, target.label)

    async def configure(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Serves these models from now on: loads new ones, then drops those that are left out.

        Raises:
          RequestError: the configuration is wrong, and nothing is changed; or a label is for a version that is not
            loaded, and the model keeps its former labels; or there is nothing to serve below a new base path, and the
            model stays as it was.
        """
        _check(config)
        async with self._updating:
            wanted: dict[str, ModelVersions] = {}
            refused = []
            for given in config.model_config_list.config:
                former = self._models.get(given.name)
                model = former if former and former.config.base_path == given.base_path else ModelVersions(given)
                model.config = given
                await model.refresh()
                if former is not None and former.ready and not model.ready:
                    refused.append(f"Model {given.name} has no version to serve below {given.base_path}")
                    wanted[given.name] = former
                    continue
                unavailable = [label for label, version in given.version_labels.items() if not model.has(version)]
                refused += [_UNAVAILABLE.format(label, given.name) for label in unavailable]
                if not unavailable:
                    model.labels = dict(given.version_labels)
                wanted[given.name] = model
            dropped = [model for name, model in self._models.items() if wanted.get(name) is not model]
            self._models = wanted
            for model in dropped:
                model.unload_all()
        await self._report(self.ready)
        if refused:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, "; ".join(refused))

    def watch(self, poll_seconds: float, read_config: _ReadConfig, read_seconds: float) -> None:
        """Looks for new versions, and for a new configuration if `read_seconds` is not 0, until `close`."""
        self._watchers.append(asyncio.create_task(_repeat(poll_seconds, self._refresh)))
        if read_seconds:
            self._watchers.append(asyncio.create_task(_repeat(read_seconds, lambda: self._read(read_config))))

    async def close(self) -> None:
        """Stops watching, and makes `find` refuse every request; requests that have their model are finished."""
        self._closing = True
        for watcher in self._watchers:
            watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watcher

    async def _refresh(self) -> None:
        async with self._updating:
            for model in list(self._models.values()):
                await model.refresh()
        await self._report(self.ready)

    async def _read(self, read_config: _ReadConfig) -> None:
        config = await asyncio.to_thread(read_config)
        given = [(model, dict(model.version_labels)) for model in config.model_config_list.config]
        if given != [(model.config, model.labels) for model in self._models.values()]:  # A label may have had to wait.
            await self.configure(config)


async def _repeat(seconds: float, action: Callable) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await action()
        except (OSError, RequestError, ServingError) as error:
            _log.warning("%s", error)
        except Exception:
            _log.exception("cannot look for new versions")


def _check(config: model_server_config_pb2.ModelServerConfig) -> None:
    """Raises RequestError for a configuration that cannot be served."""
    models: Iterable[model_server_config_pb2.ModelConfig] = config.model_config_list.config
    if not models:
        raise invalid("Expected model_config_list to hold at least one model")
    names = [model.name for model in models]
    for model in models:
        if not model.name or names.count(model.name) > 1:
            raise invalid(f"Illegal setting: model names have to be unique and not empty, not {model.name!r}")
        if not model.base_path:
            raise invalid(f"Illegal setting: model {model.name} has no base_path")
        if model.model_platform not in ("", "tensorflow"):
            raise invalid(f"Illegal setting: model {model.name} is of platform {model.model_platform}, not tensorflow")
