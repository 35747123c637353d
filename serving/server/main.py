"""Starts and stops the server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass

import grpc
from aiohttp import web
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving.errors import ServingError
from serving.server.grpc_api import ModelService, PredictionService
from serving.server.rest import make_app
from serving.server.versions import VersionManager

_GRACE_SECONDS = 5


@dataclass(frozen=True)
class ServerOptions:
    """What is served and where. Port 0 takes a free one."""

    base_path: str
    model_name: str
    host: str
    port: int
    rest_port: int


def serve_forever(options: ServerOptions) -> None:
    """Serves until SIGINT or SIGTERM, then finishes what was accepted.

    Raises:
      ServingError: no such directory, or a port that is taken.
    """
    if not os.path.isdir(options.base_path):
        raise ServingError(
            f"{options.base_path}: no such directory. Run the pipeline first, or give the directory that holds the "
            "numbered versions"
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(_serve(options))


async def _serve(options: ServerOptions) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)

    manager = VersionManager(options.model_name, options.base_path)
    await manager.start()
    if not manager.ready:
        print(f"No version can be served in {options.base_path} yet; waiting for one.", flush=True)

    grpc_server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(PredictionService(manager), grpc_server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(manager), grpc_server)
    try:
        port = grpc_server.add_insecure_port(f"{options.host}:{options.port}")
    except RuntimeError as error:
        raise ServingError(f"cannot listen on {options.host}:{options.port}: give another --port") from error
    runner = web.AppRunner(make_app(manager), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.rest_port, reuse_address=True)
    try:
        await site.start()
    except OSError as error:
        raise ServingError(
            f"cannot listen on {options.host}:{options.rest_port} ({error.strerror}): give another --rest-port"
        ) from error
    rest_port = runner.addresses[0][1]
    await grpc_server.start()
    print(
        f"Serving {options.model_name}: gRPC on {options.host}:{port}, REST on {options.host}:{rest_port}", flush=True
    )

    await stopped.wait()
    await asyncio.gather(grpc_server.stop(_GRACE_SECONDS), runner.cleanup())
    await manager.stop()
