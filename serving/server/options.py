"""The server's options, and the text files that they name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import ServingError
from serving.server import protos
from serving.server.batching import BatchingParameters

_PROMETHEUS_PATH = "/monitoring/prometheus/metrics"
_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class ServerOptions:
    """What is served, where and how, by the names of `tensorflow_model_server`. Port 0 takes a free one.

    Attributes:
      model_base_path, model_name: the one model, unless there is a `model_config_file`.
      host: address to listen on.
      file_system_poll_wait_seconds: time between looks for new versions.
      model_config_file_poll_wait_seconds: time between looks at that file; 0 reads it once.
      rest_api_timeout_in_ms: for a whole REST request.
      grpc_channel_arguments: `key=value,…` for the gRPC server.
      grpc_socket_path: a Unix socket to answer gRPC on as well.
      monitoring_config_file: may switch the metrics off or move them; without it they are on, at TensorFlow Serving's
        usual path.
    """

    model_base_path: str
    model_name: str = "recommender"
    host: str = "127.0.0.1"
    port: int = 8500
    rest_api_port: int = 8501
    model_config_file: str | None = None
    model_config_file_poll_wait_seconds: float = 0.0
    file_system_poll_wait_seconds: float = 1.0
    enable_batching: bool = True
    batching_parameters_file: str | None = None
    monitoring_config_file: str | None = None
    rest_api_timeout_in_ms: int = 30_000
    grpc_channel_arguments: str = ""
    grpc_socket_path: str | None = None

    def models(self) -> model_server_config_pb2.ModelServerConfig:
        """The models to serve. Raises ServingError if the file cannot be used."""
        if self.model_config_file:
            return _read(self.model_config_file, model_server_config_pb2.ModelServerConfig())
        if not os.path.isdir(self.model_base_path) and "://" not in self.model_base_path:
            raise ServingError(
                f"{self.model_base_path}: no such directory. Run the pipeline first, or give the directory that holds "
                "the numbered versions"
            )
        config = model_server_config_pb2.ModelServerConfig()
        config.model_config_list.config.add(
            name=self.model_name, base_path=self.model_base_path, model_platform=_PLATFORM
        )
        return config

    def batching(self) -> BatchingParameters:
        """The parameters of batching. Raises ServingError if the file cannot be used."""
        if not self.batching_parameters_file:
            return BatchingParameters()
        given = _read(self.batching_parameters_file, protos.BatchingParameters())
        values: dict[str, Any] = {
            name: getattr(given, name).value
            for name in ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
            if given.HasField(name)
        }
        if given.enable_large_batch_splitting.value and given.HasField("max_execution_batch_size"):
            values["max_batch_size"] = (
                given.max_execution_batch_size.value
            )  # Larger requests are split here in any case.
        for name, value in values.items():
            if value < (0 if name == "batch_timeout_micros" else 1):
                raise ServingError(f"{self.batching_parameters_file}: {name} {value} is too small")
        sizes = tuple(given.allowed_batch_sizes)
        parameters = BatchingParameters(**values, allowed_batch_sizes=sizes)
        if sizes and (list(sizes) != sorted(set(sizes)) or sizes[-1] != parameters.max_batch_size):
            raise ServingError(
                f"{self.batching_parameters_file}: allowed_batch_sizes have to rise and to end with max_batch_size, or "
                f"max_execution_batch_size where large batches are split: {parameters.max_batch_size}"
            )
        return parameters

    def metrics_path(self) -> str | None:
        """Where REST gives the metrics; None: nowhere."""
        if not self.monitoring_config_file:
            return _PROMETHEUS_PATH
        given = _read(self.monitoring_config_file, protos.MonitoringConfig()).prometheus_config
        return (given.path or _PROMETHEUS_PATH) if given.enable else None

    def channel_arguments(self) -> dict[str, int | str]:
        """`grpc_channel_arguments`, parsed. Raises ServingError for an entry without a value."""
        parsed = {}
        for entry in filter(None, self.grpc_channel_arguments.split(",")):
            key, equals, value = entry.strip().partition("=")
            if not equals:
                raise ServingError(f"--grpc_channel_arguments {entry!r}: expected key=value")
            parsed[key] = int(value) if value.lstrip("-").isdigit() else value
        return parsed


def _read(path: str, message: Any) -> Any:
    """Reads a text-format message."""
    try:
        with open(path, encoding="utf-8") as file:
            return text_format.Parse(file.read(), message)
    except OSError as error:
        raise ServingError(f"{path}: {error.strerror}") from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ServingError(f"{path} is not a text-format {message.DESCRIPTOR.name}: {error}") from error
