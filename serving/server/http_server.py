"""An HTTP server whose connections do not stay for nothing, and whose bodies are received within limits."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import grpc
from aiohttp import web

from serving.codec.errors import RequestError, invalid
from serving.codec.pool import ParserPool

_LOOK_SECONDS = 1.0
_HANDSHAKE_SECONDS = 10.0  # Of TLS; before it a connection has no transport yet.
_LINGER_SECONDS = 2.0  # For a client that still sends what has been refused, so that it can read why.

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HttpServer:
    """Serves a handler.

    Args:
      handler: answers requests.
      parsers: count the bytes of bodies.
      max_body_bytes: of one body, uncompressed.
      wait_seconds: for the next byte of a request, or a first one.
    """

    def __init__(self, handler: Handler, parsers: ParserPool, max_body_bytes: int, wait_seconds: float = 60.0):
        self._parsers, self._max_body_bytes, self._wait_seconds = parsers, max_body_bytes, wait_seconds
        self._handler = handler
        self._server = web.Server(
            self._handle, handler_cancellation=True, access_log=None, lingering_time=_LINGER_SECONDS
        )
        self._waiting: dict[Any, float] = {}  # Since when a connection has had no whole request.
        self._receiving: dict[Any, asyncio.Task] = {}  # What reads a body, by its connection.
        self._stopping = False
        self._listener: asyncio.AbstractServer | None = None
        self._looking: asyncio.Task | None = None

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Begins to accept connections; returns the port. Raises OSError if that is taken."""
        loop = asyncio.get_running_loop()
        handshake_seconds = _HANDSHAKE_SECONDS if tls else None
        self._listener = await loop.create_server(
            self._connect, host, port, ssl=tls, ssl_handshake_timeout=handshake_seconds, reuse_address=True
        )
        self._looking = loop.create_task(self._close_idle())
        return self._listener.sockets[0].getsockname()[1]

    async def stop(self, grace_seconds: float) -> None:
        """Answers what has come whole, within a time, and refuses the rest at once."""
        if not self._listener or not self._looking:
            return
        self._stopping = True
        self._looking.cancel()
        self._listener.close()
        for connection in self._waiting.keys() - self._receiving.keys():
            _close(connection)
        for task in self._receiving.values():
            task.cancel()
        self._server.pre_shutdown()
        await self._server.shutdown(grace_seconds)

    async def read(self, request: web.BaseRequest) -> list[bytes]:
        """The body of a request in pieces, which count as held by the parsers until `release`.

        Raises:
          RequestError: it is too large, or not compressed as it says; too many others are being received; the client
            has gone away; or the server stops.
        """
        task = asyncio.current_task()
        assert task
        pieces, size = [], 0
        self._receiving[request.protocol] = task
        now = asyncio.get_running_loop().time
        self._waiting[request.protocol] = now()
        try:
            if request.headers.get("Expect", "").lower() == "100-continue":
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                request.writer.output_size = 0
            async for piece in request.content.iter_any():
                self._waiting[request.protocol] = now()
                if size + len(piece) > self._max_body_bytes:
                    message = f"Request body is larger than {self._max_body_bytes} bytes"
                    raise RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, 413)
                self._parsers.hold(len(piece))
                size += len(piece)
                pieces.append(piece)
        except BaseException as error:
            self.release(size)
            raise self._reason(error) from error
        finally:
            del self._receiving[request.protocol]
            self._waiting.pop(request.protocol, None)
        return pieces

    def release(self, size: int) -> None:
        """Says that so many bytes of a body are no longer held."""
        self._parsers.release(size)

    def _reason(self, error: BaseException) -> BaseException:
        if isinstance(error, asyncio.CancelledError) and self._stopping:
            return RequestError(grpc.StatusCode.UNAVAILABLE, "The server is shutting down")
        if isinstance(error, aiohttp.ClientPayloadError | web.RequestPayloadError):
            return invalid(f"Failed to read the request body: {' '.join(str(error).split())}")
        if isinstance(error, ConnectionError):
            return RequestError(grpc.StatusCode.CANCELLED, "The client has gone away")
        return error

    def _connect(self) -> asyncio.Protocol:
        connection = self._server()
        self._waiting[connection] = asyncio.get_running_loop().time()
        return connection

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        self._waiting.pop(connection, None)
        try:
            return await self._handler(request)
        finally:
            self._waiting[connection] = asyncio.get_running_loop().time()

    async def _close_idle(self) -> None:
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, self._wait_seconds))
            now = asyncio.get_running_loop().time()
            for connection, since in list(self._waiting.items()):
                gone = connection.transport is None and now - since > _HANDSHAKE_SECONDS
                if gone or now - since > self._wait_seconds:
                    del self._waiting[connection]
                    _close(connection)


def _close(connection: Any) -> None:
    with contextlib.suppress(AttributeError):  # It may just have closed.
        connection.transport.abort()
