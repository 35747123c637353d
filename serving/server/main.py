"""Starts and stops the server."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path

import grpc
import uvloop
from tensorflow_serving.apis import model_service_pb2, prediction_service_pb2

from serving.codec.errors import RequestError
from serving.codec.pool import ParserPool
from serving.errors import ServingError
from serving.server.batching import Batcher
from serving.server.http_server import HttpServer
from serving.server.inference import Inference
from serving.server.memory import give_back
from serving.server.metrics import Metrics
from serving.server.model_service import Health, ModelService
from serving.server.options import ServerOptions
from serving.server.prediction_service import PredictionService
from serving.server.processor import missing_instructions
from serving.server.rates import Rates
from serving.server.registry import Registry
from serving.server.request_log import RequestLogs
from serving.server.rest import RestApi
from serving.server.status import Calls
from serving.server.tls import Tls

_CPUINFO = Path("/proc/cpuinfo")
_GRACE_SECONDS = 30  # For requests that were accepted before the server was told to stop.
_REFUSING_SECONDS = 0.5  # UNAVAILABLE, which clients try elsewhere; a gRPC server that stops at once says CANCELLED.
_SWITCH_SECONDS = 0.0005  # Python's 0.005 would make each batch wait as long for the thread that reads requests.
_WAITING_REQUESTS = 8  # Of the largest size, so many may wait to be read.
_PARSERS = 4  # Processes that read requests, at most, unless a flag says otherwise.
_NO_RELOAD = "HandleReloadConfigRequest is switched off (--enable_config_reload)"
_UNKNOWN_CLIENT = "HandleReloadConfigRequest needs a client certificate: set client_verify in --ssl_config_file"


def serve_forever(options: ServerOptions) -> None:
    """Serves until SIGINT or SIGTERM, then finishes what was accepted.

    Raises:
      ServingError: a wrong option or file, no such directory, a port that is taken, or a processor that is too old.
    """
    if missing := missing_instructions(_CPUINFO.read_text() if _CPUINFO.exists() else ""):
        raise ServingError(f"this processor has no {' and no '.join(missing)}, which the ScaNN ops need")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    sys.setswitchinterval(_SWITCH_SECONDS)
    uvloop.install()
    asyncio.run(_Server(options).run())


class _Server:
    def __init__(self, options: ServerOptions):
        self._options = options
        if not (options.free_ports or options.port or options.rest_api_port or options.grpc_socket_path):
            raise ServingError("nothing to listen on: --port and --rest_api_port are both 0")
        self._tls = options.tls()
        self._health = Health()
        self._registry = Registry(
            self._health.update,
            options.loading(),
            options.file_system_poll_wait_seconds,
            options.allow_version_labels_for_unavailable_models,
        )
        self._metrics = Metrics(lambda: self._registry.names)
        self._batcher = Batcher(options.batching(), options.enable_batching, self._metrics.batch)
        self._parsers = ParserPool(
            options.rest_api_num_threads or min(_PARSERS, os.cpu_count() or 1),
            options.max_tensor_bytes,
            _WAITING_REQUESTS * options.max_request_bytes,
        )
        self._inference = Inference(self._registry, self._batcher, options.enable_signature_method_name_check)
        self._logs = RequestLogs(self._registry)

    async def run(self) -> None:
        """Serves until told to stop."""
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        self._parsers.start()
        giving_back = asyncio.create_task(give_back())
        try:
            await self._serve(stopped)
        finally:
            giving_back.cancel()
            self._parsers.close()

    async def _serve(self, stopped: asyncio.Event) -> None:
        options = self._options
        rates = Rates(options.max_requests_per_second)
        grpc_server, port = self._grpc_server(rates, self._tls)
        await self._load()
        http_server, rest_port = await self._http_server(rates, self._tls)
        await grpc_server.start()
        places = [f"gRPC on {options.host}:{port}"] if port else []
        places += [f"REST on {options.host}:{rest_port}"] if rest_port else []
        places += [f"gRPC on {options.grpc_socket_path}"] if options.grpc_socket_path else []
        print(f"Serving {', '.join(self._registry.names)}: {', '.join(places)}", flush=True)
        self._registry.watch(options.models, options.model_config_file_poll_wait_seconds)

        await stopped.wait()
        await self._health.stop()
        await self._registry.close()
        await asyncio.sleep(_REFUSING_SECONDS)
        await asyncio.gather(grpc_server.stop(_GRACE_SECONDS), http_server.stop(_GRACE_SECONDS))
        self._batcher.close()
        self._logs.close()

    async def _load(self) -> None:
        gc.collect()
        gc.freeze()  # TensorFlow's objects live as long as the process; each collection would take a second for them.
        try:
            await self._registry.configure(self._options.models())
        except RequestError as error:
            raise ServingError(f"{self._options.model_config_file}: {error}") from error
        if not self._registry.ready:
            print("Not every model has a version that can be served yet; waiting for one.", flush=True)

    def _grpc_server(self, rates: Rates, tls: Tls | None) -> tuple[grpc.aio.Server, int]:
        """The gRPC server, and its port, 0 if it has none."""
        options = self._options
        arguments = {
            "grpc.so_reuseport": 0,
            "grpc.max_receive_message_length": options.max_request_bytes,
            "grpc.max_send_message_length": -1,
        }
        server = grpc.aio.server(options=list((arguments | options.channel_arguments()).items()))
        prediction = PredictionService(
            self._inference,
            self._metrics,
            self._logs,
            self._parsers,
            options.max_tensor_bytes,
            options.enable_serialization_as_tensor_content,
        )
        reload_error = _NO_RELOAD if not options.enable_config_reload else None
        if tls and not tls.knows_clients:
            reload_error = reload_error or _UNKNOWN_CLIENT
        calls = Calls(options.grpc_max_threads or None, rates)
        server.add_generic_rpc_handlers(
            [
                calls.handlers(prediction, prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]),
                calls.handlers(
                    ModelService(self._registry, reload_error),
                    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"],
                ),
            ]
        )
        if options.enable_grpc_healthcheck_service:
            server.add_generic_rpc_handlers([self._health.handler(calls)])
        port = 0
        if options.free_ports or options.port:
            wanted = 0 if options.free_ports else options.port
            port = _bind(server, f"{options.host}:{wanted}", "--port", tls)
        if options.grpc_socket_path:
            _bind(server, f"unix:{options.grpc_socket_path}", "--grpc_socket_path", tls)
        return server, port

    async def _http_server(self, rates: Rates, tls: Tls | None) -> tuple[HttpServer, int]:
        """The REST server, and its port, 0 if it has none."""
        options = self._options
        api = RestApi(
            self._inference,
            self._metrics,
            self._logs,
            self._parsers,
            rates,
            options.max_tensor_bytes,
            options.metrics_path(),
            options.timeout_seconds(),
            options.rest_api_enable_cors_support,
        )
        server = api.server(options.max_request_bytes)
        if not (options.free_ports or options.rest_api_port):
            return server, 0
        wanted = 0 if options.free_ports else options.rest_api_port
        try:
            return server, await server.listen(options.host, wanted, tls.http if tls else None)
        except OSError as error:
            raise ServingError(
                f"cannot listen on {options.host}:{wanted} ({error.strerror}): give another --rest-port"
            ) from error


def _bind(server: grpc.aio.Server, address: str, option: str, tls: Tls | None) -> int:
    try:
        return server.add_secure_port(address, tls.grpc) if tls else server.add_insecure_port(address)
    except RuntimeError as error:
        raise ServingError(f"cannot listen on {address}: give another {option} ({error})") from error
