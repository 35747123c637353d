"""The options of `serve`: those of TensorFlow Serving 2.16's `tensorflow_model_server`, and some that are only ours."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Callable
from typing import Any

import click

from serving.errors import ServingError

DEFAULT_MODEL_DIR = "runs/demo/serving_models/recommender"

# Options without a meaning here: no such thing exists in this server. They are taken, and a line of log says so.
IGNORED = {
    "enable_per_model_batching_parameters": "a model's own batching_params.pbtxt is not read",
    "num_unload_threads": "unloading takes no time",
    "flush_filesystem_caches": "the operating system's cache is left alone",
    "platform_config_file": "there is only the platform tensorflow",
    "remove_unused_fields_from_bundle_metagraph": "those fields are not kept",
    "prefer_tflite_model": "there is no TensorFlow Lite here",
    "num_tflite_pools": "there is no TensorFlow Lite here",
    "num_tflite_interpreters_per_pool": "there is no TensorFlow Lite here",
    "xla_cpu_compilation_enabled": "TensorFlow decides by itself",
    "xla_gpu_compilation_enabled": "TensorFlow decides by itself",
    "enable_profiler": "there is no profiler service",
    "thread_pool_factory_config_file": "threads are TensorFlow's own",
    "mixed_precision": "models run as they were exported",
    "skip_initialize_tpu": "there is no TPU here",
}


def _flag(name: str, default: bool, text: str) -> Callable:
    """A yes-or-no option as TensorFlow's commands have them: `--name`, `--name=true` or `--name=false`."""
    return click.option(
        name, is_flag=False, flag_value=True, type=bool, default=default, show_default=True, metavar="BOOL", help=text
    )


def _number(name: str, default: float, text: str, *names: str) -> Callable:
    return click.option(name, *names, default=default, show_default=True, help=text)


def _file(name: str, text: str) -> Callable:
    return click.option(name, metavar="FILE", help=text)


def _ignored(name: str) -> Callable:
    return click.option(f"--{name}", is_flag=False, flag_value="true", hidden=True, help=IGNORED[name])


_OPTIONS = [
    click.option(
        "--model-dir",
        "--model_base_path",
        "model_base_path",
        metavar="DIR",
        default=DEFAULT_MODEL_DIR,
        show_default=True,
        help="Directory of numbered versions; the newest is served, also when it comes later.",
    ),
    click.option("--model-name", "--model_name", default="recommender", show_default=True, help="Name in requests."),
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    _number("--port", 8500, "gRPC port; 0: none."),
    _number("--rest-port", 8501, "REST port; 0: none.", "--rest_api_port", "rest_api_port"),
    click.option("--free-ports", is_flag=True, help="Take free ports instead; the first line of output says them."),
    _file("--grpc_socket_path", "A Unix socket to answer gRPC on as well."),
    click.option("--grpc_channel_arguments", metavar="KEY=VALUE,…", default="", help="For the gRPC server."),
    _number("--grpc_max_threads", 0, "gRPC requests that are handled at the same time; 0: any number."),
    _number("--rest_api_num_threads", 0, "Processes that read large requests; 0: one a processor, at most 4."),
    _number("--rest_api_timeout_in_ms", 30_000, "For a whole REST request; 0: any time."),
    _flag("--rest_api_enable_cors_support", False, "Let pages of other origins ask over REST."),
    _file("--ssl_config_file", "TLS on both ports: TensorFlow Serving's SSLConfig."),
    _number("--max_request_bytes", 64 << 20, "Size of a request."),
    _number("--max_tensor_bytes", 256 << 20, "Memory of a request's inputs once they are read."),
    _number("--max_requests_per_second", 0.0, "Of one client's address; 0: any number."),
    _flag("--enable_config_reload", True, "Let clients change the models (HandleReloadConfigRequest)."),
    _flag("--enable_grpc_healthcheck_service", True, "Answer gRPC's standard health service."),
    _flag("--enable_serialization_as_tensor_content", False, "Answer numbers in tensor_content over gRPC."),
    _flag("--enable_signature_method_name_check", False, "Classify and regress only what was exported for it by name."),
    _file("--model_config_file", "Models, policies and labels; instead of --model-dir."),
    _number("--model_config_file_poll_wait_seconds", 0.0, "Read that file again after so long; 0: never."),
    _number("--file_system_poll_wait_seconds", 1.0, "Look for new versions after so long; 0: look once; -1: never."),
    _flag("--allow_version_labels_for_unavailable_models", False, "Let a new label be for a version not loaded yet."),
    _number("--num_load_threads", 0, "Versions that load at the same time; 0: one."),
    _number("--max_num_load_retries", 0, "How often a version that fails is tried again with the same files."),
    _number("--load_retry_interval_micros", 60_000_000, "Time before that."),
    click.option("--saved_model_tags", default="serve", show_default=True, help="Comma-separated tags of the graph."),
    _flag("--enable_model_warmup", True, "Answer a model's own requests before it serves."),
    _number("--num_request_iterations_for_warmup", 0, "How often each of them; 0: once."),
    _number("--tensorflow_session_parallelism", 0, "Threads of each of TensorFlow's two pools; 0: by itself."),
    _number("--tensorflow_intra_op_parallelism", 0, "Threads inside an operation; 0: one."),
    _number("--tensorflow_inter_op_parallelism", 0, "Operations at the same time; 0: by itself."),
    _file("--tensorflow_session_config_file", "TensorFlow's ConfigProto."),
    _number("--per_process_gpu_memory_fraction", 0.0, "Of the GPU's memory; 0: by itself."),
    _flag("--enable_batching", True, "Join the requests of concurrent clients."),
    _file("--batching_parameters_file", "How: TensorFlow Serving's BatchingParameters."),
    _file("--monitoring_config_file", "TensorFlow Serving's MonitoringConfig."),
    _flag("--use_alts_credentials", False, "Google's ALTS, which is not here: an error."),
    *map(_ignored, IGNORED),
    click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=lambda *a: _version(*a)),
]


def serve_options(command: Callable) -> Callable:
    """Gives a command the options of `serve`. The command gets those that have a meaning."""

    @functools.wraps(command)
    def with_meaning(**given: Any) -> None:
        if given.pop("use_alts_credentials"):
            raise ServingError("--use_alts_credentials: there is no ALTS here; use --ssl_config_file")
        ignored = {name: given.pop(name) for name in IGNORED}
        for name, value in ignored.items():
            if value is not None:
                click.echo(f"--{name} is ignored: {IGNORED[name]}", err=True)
        command(**given)

    for option in reversed(_OPTIONS):
        with_meaning = option(with_meaning)
    return with_meaning


def _version(context: click.Context, _: Any, is_asked: bool) -> None:
    if is_asked:
        click.echo(f"TensorFlow ModelServer: {importlib.metadata.version('tensorflow-serving-api')}")
        import tensorflow as tf  # Its distribution has another name where it is for processors alone.

        click.echo(f"TensorFlow Library: {tf.__version__}")
        context.exit()
