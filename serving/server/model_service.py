"""TensorFlow Serving's ModelService, and the standard health service."""

from __future__ import annotations

import asyncio

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import SERVICE_NAME
from grpc_health.v1.health import aio as health
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from serving.codec.errors import RequestError, invalid
from serving.codec.requests import small_message
from serving.server.registry import Registry, Target
from serving.server.status import Calls

_Serving = health_pb2.HealthCheckResponse.ServingStatus
_SERVICES = ("", "PredictionService", "ModelService")  # "" is the whole server; the others are TensorFlow Serving's.


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest. Methods take the bytes of a request.

    Args:
      registry: has the models.
      reload_error: why nobody may change the configuration; None if clients may.
    """

    def __init__(self, registry: Registry, reload_error: str | None):
        self._registry, self._reload_error = registry, reload_error

    async def GetModelStatus(
        self, raw: bytes, context: grpc.aio.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        request = small_message(get_model_status_pb2.GetModelStatusRequest, raw)
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._registry.statuses(Target.of_spec(request.model_spec)):
            entry = response.model_version_status.add(
                version=status.version,
                state=get_model_status_pb2.ModelVersionStatus.State.Value(status.state),
            )
            entry.status.error_code = status.error_code
            entry.status.error_message = status.error_message
        return response

    async def HandleReloadConfigRequest(
        self, raw: bytes, context: grpc.aio.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        if self._reload_error:
            raise RequestError(grpc.StatusCode.PERMISSION_DENIED, self._reload_error)
        request = small_message(model_management_pb2.ReloadConfigRequest, raw)
        response = model_management_pb2.ReloadConfigResponse()
        former = set(self._registry.names)
        try:
            # Shielded, so that a client that disconnects leaves nothing half configured.
            await asyncio.shield(asyncio.ensure_future(self._registry.configure(request.config)))
            missing = sorted(set(self._registry.waiting) - former)
            if missing:
                raise RequestError(grpc.StatusCode.UNKNOWN, f"Some models did not become available: {missing}")
        except RequestError as error:
            response.status.error_code = error.code.value[0]
            response.status.error_message = str(error)
        return response


class Health:
    """The standard gRPC health service: SERVING as long as every model can answer."""

    def __init__(self) -> None:
        self._servicer = health.HealthServicer()

    def handler(self, calls: Calls) -> grpc.GenericRpcHandler:
        """The service for a gRPC server."""
        reply = health_pb2.HealthCheckResponse.SerializeToString
        check, watch = calls.aborting(self._check), calls.aborting(self._watch, takes_turn=False)
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(check, response_serializer=reply),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, response_serializer=reply),
        }
        return grpc.method_handlers_generic_handler(SERVICE_NAME, methods)

    async def _check(self, raw: bytes, context: grpc.aio.ServicerContext) -> health_pb2.HealthCheckResponse:
        return await self._servicer.Check(small_message(health_pb2.HealthCheckRequest, raw), context)

    async def _watch(self, raw: bytes, context: grpc.aio.ServicerContext) -> None:
        await self._servicer.Watch(small_message(health_pb2.HealthCheckRequest, raw), context)

    async def update(self, ready: bool) -> None:
        """Says whether the server can answer."""
        for service in _SERVICES:
            await self._servicer.set(service, _Serving.SERVING if ready else _Serving.NOT_SERVING)

    async def stop(self) -> None:
        """Says NOT_SERVING from now on."""
        await self._servicer.enter_graceful_shutdown()
