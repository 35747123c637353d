"""Starts and stops the server."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys

import grpc
import uvloop
from aiohttp import web
from grpc_health.v1 import health_pb2_grpc
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from serving.errors import ServingError
from serving.server.batching import Batcher
from serving.server.inference import Inference
from serving.server.metrics import Metrics
from serving.server.model_service import Health, ModelService
from serving.server.options import ServerOptions
from serving.server.prediction_service import PredictionService
from serving.server.registry import Registry
from serving.server.rest import MAX_REQUEST_BYTES, make_app
from serving.server.status import RequestError, handlers

_GRACE_SECONDS = 30  # For requests that were accepted before the server was told to stop.
_REFUSING_SECONDS = 0.5  # UNAVAILABLE, which clients try elsewhere; a gRPC server that stops at once says CANCELLED.
_SWITCH_SECONDS = 0.0005  # Python's 0.005 would make each batch wait as long for the thread that reads requests.


def serve_forever(options: ServerOptions) -> None:
    """Serves until SIGINT or SIGTERM, then finishes what was accepted.

    Raises:
      ServingError: a wrong option or file, no such directory, or a port that is taken.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.setswitchinterval(_SWITCH_SECONDS)
    uvloop.install()
    asyncio.run(_serve(options))


async def _serve(options: ServerOptions) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    health = Health()
    registry = Registry(health.update)
    metrics = Metrics(lambda: registry.names)
    batcher = Batcher(options.batching(), options.enable_batching, metrics.batch)
    inference = Inference(registry, batcher)
    runner = _rest_runner(options, inference, metrics)
    grpc_server, port = _grpc_server(options, inference, metrics, health)
    await _load(registry, options)
    rest_port = await _listen(runner, options)
    await grpc_server.start()
    print(
        f"Serving {', '.join(registry.names)}: gRPC on {options.host}:{port}, REST on {options.host}:{rest_port}",
        flush=True,
    )
    registry.watch(options.file_system_poll_wait_seconds, options.models, options.model_config_file_poll_wait_seconds)

    await stopped.wait()
    await health.stop()
    await registry.close()
    await asyncio.sleep(_REFUSING_SECONDS)
    await asyncio.gather(grpc_server.stop(_GRACE_SECONDS), runner.cleanup())
    batcher.close()


async def _load(registry: Registry, options: ServerOptions) -> None:
    gc.collect()
    gc.freeze()  # TensorFlow's objects live as long as the process; each collection would take a second to visit them.
    try:
        await registry.configure(options.models())
    except RequestError as error:
        raise ServingError(f"{options.model_config_file}: {error}") from error
    if not registry.ready:
        print("Not every model has a version that can be served yet; waiting for one.", flush=True)


def _grpc_server(
    options: ServerOptions, inference: Inference, metrics: Metrics, health: Health
) -> tuple[grpc.aio.Server, int]:
    arguments = {
        "grpc.so_reuseport": 0,
        "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
        "grpc.max_send_message_length": -1,
    }
    server = grpc.aio.server(options=list((arguments | options.channel_arguments()).items()))
    prediction = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
    models = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
    server.add_generic_rpc_handlers(
        [
            handlers(PredictionService(inference, metrics), prediction),
            handlers(ModelService(inference.registry), models),
        ]
    )
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    port = _bind(server, f"{options.host}:{options.port}", "--port")
    if options.grpc_socket_path:
        _bind(server, f"unix:{options.grpc_socket_path}", "--grpc_socket_path")
    return server, port


def _bind(server: grpc.aio.Server, address: str, option: str) -> int:
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise ServingError(f"cannot listen on {address}: give another {option} ({error})") from error


def _rest_runner(options: ServerOptions, inference: Inference, metrics: Metrics) -> web.AppRunner:
    app = make_app(inference, metrics, options.metrics_path(), options.rest_api_timeout_in_ms / 1000)
    return web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE_SECONDS)


async def _listen(runner: web.AppRunner, options: ServerOptions) -> int:
    await runner.setup()
    try:
        await web.TCPSite(runner, options.host, options.rest_api_port, reuse_address=True).start()
    except OSError as error:
        raise ServingError(
            f"cannot listen on {options.host}:{options.rest_api_port} ({error.strerror}): give another --rest-port"
        ) from error
    return runner.addresses[0][1]
