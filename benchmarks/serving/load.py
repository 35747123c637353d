"""A load generator: concurrent clients that ask one after another, in a process of its own."""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import time
from typing import NamedTuple

import numpy as np

from serving.errors import ServingError

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_WARM_UP = 5  # Requests for each client that are not counted: they make connections.


class Load(NamedTuple):
    """What clients saw. Latencies are in milliseconds."""

    requests_per_second: float
    p50: float
    p99: float


def run_load(protocol: str, port: int, users: list[str], clients: int, requests: int) -> Load:
    """Asks `serving_default` for one user at a time.

    Args:
      protocol: "gRPC" or "REST".
      port: of the server on the loopback.
      users: asked about in turn.
      clients: requests under way at a time.
      requests: how many in all, after a few that are not counted.
    """
    # A process without TensorFlow, so that the generator takes as little as it can from the machine it shares.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_run, (protocol, port, _bodies(protocol, users), clients, requests))


def _bodies(protocol: str, users: list[str]) -> list[bytes]:
    if protocol == "REST":
        return [json.dumps({"instances": [user]}).encode() for user in users]
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    bodies = []
    for user in users:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "recommender"
        request.inputs["user_id"].CopyFrom(tf.make_tensor_proto([user]))
        bodies.append(request.SerializeToString())
    return bodies


def _run(protocol: str, port: int, bodies: list[bytes], clients: int, requests: int) -> Load:
    import uvloop

    uvloop.install()
    return asyncio.run(_generate(protocol, port, bodies, clients, requests))


async def _generate(protocol: str, port: int, bodies: list[bytes], clients: int, requests: int) -> Load:
    seconds: list[float] = []
    failed = 0
    numbers = iter(range(requests))

    async def client(ask) -> None:
        nonlocal failed
        for number in numbers:
            started = time.perf_counter()
            if not await ask(bodies[number % len(bodies)]):
                failed += 1
            seconds.append(time.perf_counter() - started)

    connect = _grpc if protocol == "gRPC" else _rest
    async with connect(port) as ask:
        await asyncio.gather(*(ask(bodies[number % len(bodies)]) for number in range(clients * _WARM_UP)))
        gc.collect()
        gc.disable()  # Its pauses would look like the server's.
        started = time.perf_counter()
        await asyncio.gather(*(client(ask) for _ in range(clients)))
        total = time.perf_counter() - started
    if failed:
        raise ServingError(f"{failed} of {requests} {protocol} requests failed: the times of the others mean nothing")
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return Load(requests / total, float(p50), float(p99))


class _grpc:
    def __init__(self, port: int):
        self._port = port

    async def __aenter__(self):
        import grpc

        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{self._port}")
        call = self._channel.unary_unary(_PREDICT)  # Bytes in, bytes out.

        async def ask(body: bytes) -> bool:
            try:
                return bool(await call(body))
            except grpc.RpcError:
                return False

        return ask

    async def __aexit__(self, *_) -> None:
        await self._channel.close()


class _rest:
    def __init__(self, port: int):
        self._url = f"http://127.0.0.1:{port}/v1/models/recommender:predict"

    async def __aenter__(self):
        import aiohttp

        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

        async def ask(body: bytes) -> bool:
            try:
                async with self._session.post(self._url, data=body) as response:
                    return bool(await response.read()) and response.status == 200
            except aiohttp.ClientError:
                return False

        return ask

    async def __aexit__(self, *_) -> None:
        await self._session.close()
