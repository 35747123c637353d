"""TensorFlow Serving's ModelService, and the standard health service."""

from __future__ import annotations

import asyncio

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio as health
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from serving.server.registry import Registry, Target
from serving.server.status import RequestError, aborting

_Serving = health_pb2.HealthCheckResponse.ServingStatus
_SERVICES = ("", "PredictionService", "ModelService")  # "" is the whole server; the others are TensorFlow Serving's.


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, registry: Registry):
        self._registry = registry

    @aborting
    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._registry.statuses(Target.of_spec(request.model_spec)):
            entry = response.model_version_status.add(
                version=status.version,
                state=get_model_status_pb2.ModelVersionStatus.State.Value(status.state),
            )
            entry.status.error_code = status.error_code
            entry.status.error_message = status.error_message
        return response

    @aborting
    async def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.aio.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
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
        self.servicer = health.HealthServicer()

    async def update(self, ready: bool) -> None:
        """Says whether the server can answer."""
        for service in _SERVICES:
            await self.servicer.set(service, _Serving.SERVING if ready else _Serving.NOT_SERVING)

    async def stop(self) -> None:
        """Says NOT_SERVING from now on."""
        await self.servicer.enter_graceful_shutdown()
