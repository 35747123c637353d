"""Ways to send a protocol's messages: waiting for the answer, or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from serving.errors import ServingError, Unavailable
from serving.protocols import GrpcRequest, RestRequest, Steps, grpc_error, rest_body, unreachable

_LOOPBACK = ("127.0.0.1", "localhost")  # Never asked through a proxy, whatever the environment says.
_SERVICE = "/tensorflow.serving.PredictionService/"


def run(steps: Steps, send: Callable[[Any], Any]) -> Any:
    """What steps come to, each of whose messages is sent."""
    answer = None
    while True:
        try:
            request = steps.send(answer)
        except StopIteration as done:
            return done.value
        answer = send(request)


async def run_async(steps: Steps, send: Callable[[Any], Awaitable[Any]]) -> Any:
    """As `run`, without waiting."""
    answer = None
    while True:
        try:
            request = steps.send(answer)
        except StopIteration as done:
            return done.value
        answer = await send(request)


class Sender(Protocol):
    """Sends one message. Raises Unavailable or ServingError."""

    def send(self, request: Any) -> Any: ...

    def close(self) -> None: ...


class AsyncSender(Protocol):
    """As `Sender`, without waiting."""

    async def send(self, request: Any) -> Any: ...

    async def close(self) -> None: ...


class RestSender:
    """Over one session of HTTP."""

    def __init__(self, address: str, timeout_seconds: float):
        import requests

        self._requests = requests
        self._session = requests.Session()
        self._session.trust_env = not _is_local(address)
        self._address, self._timeout_seconds = address, timeout_seconds

    def send(self, request: RestRequest) -> str:
        url = f"http://{self._address}{request.path}"
        try:
            response = self._session.request(request.method, url, data=request.body, timeout=self._timeout_seconds)
        except self._requests.Timeout as error:
            raise _late(self._address, self._timeout_seconds) from error
        except self._requests.RequestException as error:
            raise Unavailable(unreachable("REST", self._address)) from error
        return rest_body(self._address, response.status_code, response.text)

    def close(self) -> None:
        self._session.close()


class AsyncRestSender:
    """As `RestSender`; it opens its session when it first sends."""

    def __init__(self, address: str, timeout_seconds: float):
        import aiohttp

        self._aiohttp = aiohttp
        self._address, self._timeout_seconds = address, timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: RestRequest) -> str:
        if self._session is None:
            timeout = self._aiohttp.ClientTimeout(self._timeout_seconds)
            self._session = self._aiohttp.ClientSession(trust_env=not _is_local(self._address), timeout=timeout)
        url = f"http://{self._address}{request.path}"
        try:
            async with self._session.request(request.method, url, data=request.body) as response:
                return rest_body(self._address, response.status, await response.text())
        except asyncio.TimeoutError as error:
            raise _late(self._address, self._timeout_seconds) from error
        except self._aiohttp.ClientError as error:
            raise Unavailable(unreachable("REST", self._address)) from error

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class GrpcSender:
    """Over one channel."""

    def __init__(self, address: str, timeout_seconds: float):
        import grpc

        self._grpc = grpc
        self._channel = grpc.insecure_channel(address, _channel_options(address))
        self._address, self._timeout_seconds = address, timeout_seconds

    def send(self, request: GrpcRequest) -> Any:
        try:
            return _method(self._channel, request)(request.message, timeout=self._timeout_seconds)
        except self._grpc.RpcError as error:
            raise grpc_error(self._address, error) from error

    def close(self) -> None:
        self._channel.close()


class AsyncGrpcSender:
    """As `GrpcSender`; it opens its channel when it first sends."""

    def __init__(self, address: str, timeout_seconds: float):
        import grpc.aio

        self._grpc = grpc
        self._channel: grpc.aio.Channel | None = None
        self._address, self._timeout_seconds = address, timeout_seconds

    async def send(self, request: GrpcRequest) -> Any:
        if self._channel is None:
            self._channel = self._grpc.aio.insecure_channel(self._address, _channel_options(self._address))
        try:
            return await _method(self._channel, request)(request.message, timeout=self._timeout_seconds)
        except self._grpc.RpcError as error:
            raise grpc_error(self._address, error) from error

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close()


def _method(channel: Any, request: GrpcRequest) -> Any:
    serialize = type(request.message).SerializeToString
    return channel.unary_unary(
        f"{_SERVICE}{request.method}", request_serializer=serialize, response_deserializer=request.answer.FromString
    )


def _channel_options(address: str) -> list[tuple[str, int | str]]:
    return [
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_http_proxy", int(not _is_local(address))),
        ("grpc.lb_policy_name", "round_robin"),  # Of the servers behind a name, each attempt asks another.
    ]


def _is_local(address: str) -> bool:
    return address.rpartition(":")[0] in _LOOPBACK


def _late(address: str, seconds: float) -> ServingError:
    return ServingError(f"no answer from {address} within {seconds:g} s")
