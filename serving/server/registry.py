"""The models that a server has, by name."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

import grpc
from tensorflow_serving.apis import model_pb2
from tensorflow_serving.config import logging_config_pb2, model_server_config_pb2

from serving.codec.errors import RequestError, invalid
from serving.errors import ServingError
from serving.server.model import LoadedModel
from serving.server.versions import Loading, ModelVersions, VersionStatus, unknown_label

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
      loading: how versions are loaded.
      poll_seconds: time between looks for new versions; 0 looks once, and less never.
      labels_before_versions: whether a new label may be for a version that is not loaded.
    """

    def __init__(
        self,
        report: Callable[[bool], Awaitable[None]],
        loading: Loading | None = None,
        poll_seconds: float = 1.0,
        labels_before_versions: bool = False,
    ):
        self._loading, self._poll_seconds = loading or Loading(), poll_seconds
        self._labels_before_versions = labels_before_versions
        self._models: dict[str, ModelVersions] = {}
        self._report = report
        self._updating = asyncio.Lock()
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
        if not target.name:
            raise invalid("ModelSpec has no name specified.")
        if target.name not in self._models:
            if target.label:
                raise unknown_label(target.label)
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
        return self._models[target.name].statuses(target.version)  # Whatever the label: so does TensorFlow Serving.

    def versions(self, name: str) -> list[VersionStatus]:
        """Versions of a model that is configured, the newest first."""
        return self._models[name].known()

    def labels(self, name: str) -> dict[str, int]:
        """The labels of a model that are in force."""
        return self._models[name].labels

    def logging_config(self, name: str) -> logging_config_pb2.LoggingConfig | None:
        """Which of a model's requests are to be kept."""
        model = self._models.get(name)
        return model.config.logging_config if model and model.config.HasField("logging_config") else None

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
            models = []
            for given in config.model_config_list.config:
                former = self._models.get(given.name)
                stays = former is not None and former.config.base_path == given.base_path
                models.append(former if former and stays else ModelVersions(given, self._loading))
                models[-1].config = given
            if self._poll_seconds >= 0:
                await asyncio.gather(*(model.refresh() for model in models))
            for model in models:
                given, former = model.config, self._models.get(model.config.name)
                if former is not None and former.ready and not model.ready:
                    refused.append(f"Model {given.name} has no version to serve below {given.base_path}")
                    wanted[given.name] = former
                    continue
                unavailable = [
                    label
                    for label, version in given.version_labels.items()
                    if not self._may_label(model, label, version)
                ]
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

    def _may_label(self, model: ModelVersions, label: str, version: int) -> bool:
        unused = model.labels.get(label, version) == version
        return model.has(version) or (self._labels_before_versions and unused)

    def watch(self, read_config: _ReadConfig, read_seconds: float) -> None:
        """Looks for new versions, and for a new configuration if `read_seconds` is more than 0, until `close`."""
        if self._poll_seconds > 0:
            self._watchers.append(asyncio.create_task(_repeat(self._poll_seconds, self._refresh)))
        if read_seconds > 0:
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
            await asyncio.gather(*(model.refresh() for model in self._models.values()))
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
    if not config.HasField("model_config_list"):
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    if not models:
        raise invalid("Expected model_config_list to hold at least one model")
    names = [model.name for model in models]
    for model in models:
        if not model.name:
            raise invalid("Illegal setting: a model has no name")
        if names.count(model.name) > 1:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        if not model.base_path:
            raise invalid(f"Illegal setting: model {model.name} has no base_path")
        if model.model_platform not in ("", "tensorflow"):
            raise invalid(f"Model {model.name} requests unsupported platform {model.model_platform}")
        collector = model.logging_config.log_collector_config
        if model.HasField("logging_config") and (
            not collector.filename_prefix or collector.type not in ("", "tfrecord")
        ):
            raise invalid(
                f"Model {model.name}: logging_config needs a log_collector_config with a filename_prefix, and its type "
                'can only be "tfrecord"'
            )
