"""The server's options, and the text files that they name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.config import model_server_config_pb2

from serving.errors import ServingError
from serving.server import protos
from serving.server.batching import BatchingParameters
from serving.server.model import ModelOptions, session_config
from serving.server.text_files import read_text_format
from serving.server.tls import Tls, read_tls
from serving.server.versions import Loading

_PROMETHEUS_PATH = "/monitoring/prometheus/metrics"
_PLATFORM = "tensorflow"


@dataclass(frozen=True)
class ServerOptions:
    """What is served, where and how, by the names of `tensorflow_model_server`, and some that are only ours.

    Attributes:
      host: address to listen on.
      port, rest_api_port: 0 is off.
      free_ports: take free ports instead of those two.
      max_request_bytes: of a request, over both protocols.
      max_tensor_bytes: memory that a request's inputs may take once they are read.
      max_requests_per_second: of one client's address; 0 for any number.
      enable_config_reload: whether clients may call HandleReloadConfigRequest.
      monitoring_config_file: may switch the metrics off or move them; without it they are on, at TensorFlow Serving's
        usual path.
    """

    model_base_path: str = ""
    model_name: str = "recommender"
    host: str = "127.0.0.1"
    port: int = 8500
    rest_api_port: int = 8501
    free_ports: bool = False
    grpc_socket_path: str | None = None
    grpc_channel_arguments: str = ""
    grpc_max_threads: int = 0
    rest_api_num_threads: int = 0
    rest_api_timeout_in_ms: int = 30_000
    rest_api_enable_cors_support: bool = False
    ssl_config_file: str | None = None
    max_request_bytes: int = 64 << 20
    max_tensor_bytes: int = 256 << 20
    max_requests_per_second: float = 0.0
    enable_config_reload: bool = True
    enable_grpc_healthcheck_service: bool = True
    enable_serialization_as_tensor_content: bool = False
    enable_signature_method_name_check: bool = False
    model_config_file: str | None = None
    model_config_file_poll_wait_seconds: float = 0.0
    file_system_poll_wait_seconds: float = 1.0
    allow_version_labels_for_unavailable_models: bool = False
    num_load_threads: int = 0
    max_num_load_retries: int = 0
    load_retry_interval_micros: int = 60_000_000
    saved_model_tags: str = "serve"
    enable_model_warmup: bool = True
    num_request_iterations_for_warmup: int = 0
    tensorflow_session_parallelism: int = 0
    tensorflow_intra_op_parallelism: int = 0
    tensorflow_inter_op_parallelism: int = 0
    tensorflow_session_config_file: str | None = None
    per_process_gpu_memory_fraction: float = 0.0
    enable_batching: bool = True
    batching_parameters_file: str | None = None
    monitoring_config_file: str | None = None

    def models(self) -> model_server_config_pb2.ModelServerConfig:
        """The models to serve. Raises ServingError if the file cannot be used."""
        if self.model_config_file:
            return read_text_format(self.model_config_file, model_server_config_pb2.ModelServerConfig())
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
        if not self.enable_batching:
            raise ServingError("--batching_parameters_file is set without setting --enable_batching to true")
        given = read_text_format(self.batching_parameters_file, protos.BatchingParameters())
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
        pads = given.pad_variable_length_inputs
        parameters = BatchingParameters(**values, allowed_batch_sizes=sizes, pad_variable_length_inputs=pads)
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
        given = read_text_format(self.monitoring_config_file, protos.MonitoringConfig()).prometheus_config
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

    def loading(self) -> Loading:
        """How versions are loaded. Raises ServingError if the file of the session cannot be used."""
        session = session_config()
        if self.tensorflow_session_config_file:
            session = read_text_format(self.tensorflow_session_config_file, config_pb2.ConfigProto())
        intra, inter = self.tensorflow_intra_op_parallelism, self.tensorflow_inter_op_parallelism
        if self.tensorflow_session_parallelism and (intra or inter):
            raise ServingError(
                "Give either --tensorflow_session_parallelism, or --tensorflow_intra_op_parallelism and "
                "--tensorflow_inter_op_parallelism"
            )
        if threads := intra or self.tensorflow_session_parallelism:
            session.intra_op_parallelism_threads = threads
        if threads := inter or self.tensorflow_session_parallelism:
            session.inter_op_parallelism_threads = threads
        if self.per_process_gpu_memory_fraction:
            session.gpu_options.per_process_gpu_memory_fraction = self.per_process_gpu_memory_fraction
        model = ModelOptions(
            tuple(self.saved_model_tags.split(",")),
            session,
            self.enable_model_warmup,
            max(self.num_request_iterations_for_warmup, 1),
        )
        pause = max(self.load_retry_interval_micros, 0) / 1e6
        return Loading(model, max(self.num_load_threads, 1), self.max_num_load_retries, pause)

    def tls(self) -> Tls | None:
        """TLS of both ports; None: none. Raises ServingError if the file cannot be used."""
        return read_tls(self.ssl_config_file) if self.ssl_config_file else None

    def timeout_seconds(self) -> float | None:
        """For a whole REST request; None for any time."""
        return self.rest_api_timeout_in_ms / 1000 if self.rest_api_timeout_in_ms > 0 else None
