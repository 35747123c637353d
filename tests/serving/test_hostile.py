"""Clients that would take a server's time and memory from the others."""

import asyncio
import json
import socket
import threading
from concurrent import futures

import grpc
import psutil
import pytest
import requests
import tensorflow as tf
from aiohttp import web
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from serving.codec import requests as codec_requests
from serving.codec.errors import RequestError
from serving.codec.pool import ParserPool
from serving.server.http_server import HttpServer
from tests.serving.conftest import LONG_SECONDS, Gate, export, serving, wait_for
from tests.serving.test_faults import allocated_bytes

_PREDICT = "/tensorflow.serving.PredictionService/Predict"


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A server of its own, which is as large afterwards as before, and has no more threads or processes."""
    base_path = tmp_path_factory.mktemp("attacked")
    export(base_path / "1")
    with serving(base_path) as server:
        process = psutil.Process(server.process.pid)
        with futures.ThreadPoolExecutor(8) as pool:
            list(
                pool.map(lambda _: hostile(server, rounds=1), range(8))
            )  # Threads and workers that stay are there now.
        before = allocated_bytes(server.process)
        threads, children = process.num_threads(), len(process.children())
        yield server
        assert greeting(server) == {"predictions": ["hello 42"]}
        assert process.num_threads() < threads + 8, "pools may still fill up, but no request leaves a thread behind"
        assert len(process.children()) <= children, (
            "a worker that became large ends, and starts again when it is needed"
        )
        wait_for(lambda: allocated_bytes(server.process) - before < 200 << 20)  # Any one attack would take more.
        assert sum(allocated_bytes(child) for child in process.children()) < 300 << 20


def greeting(server):
    return requests.post(f"{server.url()}:predict", json={"instances": ["42"]}, timeout=LONG_SECONDS).json()


def lists(count):
    return b'{"instances": [' + b"[]," * (count - 1) + b"[]]}"


def vast_request(shape, value, signature="serving_default", key="user_id"):
    """A tensor of many strings whose message holds one."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", signature
    request.inputs[key].dtype = types_pb2.DT_STRING
    for size in shape:
        request.inputs[key].tensor_shape.dim.add(size=size)
    request.inputs[key].string_val.append(value)
    return request


def hostile(server, rounds):
    """What attacks are answered with: HTTP statuses and gRPC codes."""
    found = []
    for _ in range(rounds):
        for body in (lists(21_000), lists(2_000_000), b'{"inputs": ' + b"[" * 30_000 + b"]" * 30_000 + b"}"):
            found.append(requests.post(f"{server.url()}:predict", data=body, timeout=LONG_SECONDS).status_code)
        with server.channel() as channel, pytest.raises(grpc.RpcError) as error:
            request = vast_request([1_000_000], bytes(2500))
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=LONG_SECONDS)
        found.append(error.value.code().name)
    return found


def test_attacks_are_refused_while_others_are_answered(attacked):
    with futures.ThreadPoolExecutor() as pool:
        attacks = [pool.submit(hostile, attacked, 2) for _ in range(8)]
        answered = 0
        while not all(attack.done() for attack in attacks):
            assert greeting(attacked) == {"predictions": ["hello 42"]}
            answered += 1
        assert answered > 8 * 2, "more often than there were attacks of a kind"
        codes = {code for attack in attacks for code in attack.result()}
        assert codes - {504} == {400, "INVALID_ARGUMENT"}, "and 504 where a busy machine takes too long to read"


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("tensorflow.serving.PredictionService/GetModelMetadata", "RESOURCE_EXHAUSTED"),
        ("tensorflow.serving.ModelService/GetModelStatus", "RESOURCE_EXHAUSTED"),
        ("tensorflow.serving.ModelService/HandleReloadConfigRequest", "RESOURCE_EXHAUSTED"),
        ("grpc.health.v1.Health/Check", "RESOURCE_EXHAUSTED"),
    ],
)
def test_requests_that_are_never_large_are_not_read_if_they_are(attacked, method, code):
    fields = b"\x98\x06\x01" * (4 << 20)  # Of a number that no message has.
    with attacked.channel() as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(f"/{method}")(fields, timeout=LONG_SECONDS)
    assert error.value.code().name == code


@pytest.mark.parametrize(
    ("shape", "value", "code"),
    [
        ([1 << 40], b"", "INVALID_ARGUMENT"),
        ([1, 1_000_000], bytes(2500), "RESOURCE_EXHAUSTED"),
        ([1, 1 << 40], b"", "RESOURCE_EXHAUSTED"),
        ([-1], b"", "INVALID_ARGUMENT"),
        ([1] * 40, b"", "INVALID_ARGUMENT"),
    ],
)
def test_tensors_are_refused_for_what_they_would_expand_to(attacked, shape, value, code):
    with attacked.channel() as channel, pytest.raises(grpc.RpcError) as error:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        stub.Predict(vast_request(shape, value), timeout=LONG_SECONDS)
    assert error.value.code().name == code


def test_what_is_not_read_may_be_large_and_deep(attacked):
    deep = '{"q": ' + "[" * 20_000 + "]" * 20_000 + ', "instances": ["42"]}'
    assert requests.post(f"{attacked.url()}:predict", data=deep).json() == {"predictions": ["hello 42"]}
    wide = json.dumps({"q": [[n] for n in range(100_000)], "instances": ["42"]})
    assert requests.post(f"{attacked.url()}:predict", data=wide).json() == {"predictions": ["hello 42"]}


def test_large_requests_are_read_whole(attacked):
    """More than 16 MB over gRPC, and more than 4 million values over REST."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "whole"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(1.0))
    request.inputs["y"].CopyFrom(tf.make_tensor_proto(tf.ones([4_500_000])))
    with attacked.channel() as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        response = stub.Predict(request, timeout=LONG_SECONDS)
    assert request.ByteSize() > 16 << 20 and list(response.outputs["sum"].float_val) == [4_500_001.0]
    body = '{"signature_name": "whole", "inputs": {"x": 1, "y": [' + "1," * 4_499_999 + "1]}}"
    answer = requests.post(f"{attacked.url()}:predict", data=body, timeout=LONG_SECONDS)
    assert answer.json() == {"outputs": 4_500_001.0}


def half_a_body(server):
    connection = socket.create_connection(("127.0.0.1", server.rest_port), LONG_SECONDS)
    connection.sendall(b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    return connection


def test_who_goes_away_is_counted_as_cancelled_and_leaves_no_traceback(tmp_path):
    export(tmp_path / "models" / "1")
    with open(tmp_path / "log", "w") as log, serving(tmp_path / "models", log=log) as server:
        for _ in range(3):
            half_a_body(server).close()

        def cancelled():
            text = requests.get(f"http://127.0.0.1:{server.rest_port}/monitoring/prometheus/metrics").text
            assert 'status="INTERNAL"' not in text
            return 'request_count{model_name="toy",status="CANCELLED"} 3.0' in text

        wait_for(cancelled)
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_half_sent_requests_do_not_hold_up_a_stop(tmp_path):
    """They are closed while a request that came whole is still held, and that one is answered."""
    export(tmp_path / "models" / "1")
    with (
        serving(tmp_path / "models") as server,
        half_a_body(server) as half,
        socket.create_connection(("127.0.0.1", server.rest_port), LONG_SECONDS) as silent,
        futures.ThreadPoolExecutor() as pool,
        Gate(tmp_path) as gate,
    ):
        body = {"signature_name": "hold", "instances": [gate.path]}
        accepted = pool.submit(requests.post, f"{server.url()}:predict", json=body)
        gate.wait_until_reached()
        server.process.terminate()
        assert b"503" in half.recv(1000).split(b"\r\n")[0]
        assert silent.recv(1000) == b""
        assert not accepted.done()
        gate.open()
        assert accepted.result().json() == {"predictions": [gate.path]}
        assert server.process.wait(LONG_SECONDS) == 0


def test_connections_that_say_nothing_or_half_are_closed():
    async def answer(request):
        return web.Response(body=b"".join(await server.read(request)))

    async def closed():
        nonlocal server
        parsers = ParserPool(1, 1 << 20, 1 << 20)
        server = HttpServer(answer, parsers, 1000, wait_seconds=0.05)
        port = await server.listen("127.0.0.1", 0, None)
        try:
            for sent in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(sent)
                assert await asyncio.wait_for(reader.read(), LONG_SECONDS) == b""
                writer.close()
        finally:
            await server.stop(1)
            parsers.close()

    server = None
    asyncio.run(closed())


def test_a_large_request_that_nobody_waits_for_is_not_kept():
    async def give_up():
        parsers = ParserPool(1, 64 << 20, 1 << 30)
        jobs = [asyncio.create_task(parsers.run(codec_requests.examples_json, [lists(500_000)])) for _ in range(4)]
        await asyncio.sleep(0)
        for job in jobs[1:]:
            job.cancel()
        await asyncio.wait(jobs[1:])
        kept = len(parsers._jobs)
        with pytest.raises(RequestError, match="key 'examples' is expected"):
            await jobs[0]
        parsers.close()
        return kept

    assert asyncio.run(give_up()) == 0


def test_limits_are_flags(tmp_path):
    export(tmp_path / "1")
    options = ["--max_request_bytes=20000", "--max_tensor_bytes=1000000"]
    with serving(tmp_path, *options) as server, server.channel() as channel:
        answer = requests.post(f"{server.url()}:predict", data=bytes(20_001))
        assert (answer.status_code, answer.json()) == (413, {"error": "Request body is larger than 20000 bytes"})
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(_PREDICT)(bytes(20_001), timeout=LONG_SECONDS)
        assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError, match="takes 1064000 bytes, and the inputs of a request 1000000 at most"):
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            stub.Predict(vast_request([1000], bytes(1000)), timeout=LONG_SECONDS)
        assert greeting(server) == {"predictions": ["hello 42"]}


def test_a_client_may_not_ask_too_often(tmp_path):
    export(tmp_path / "1")
    with serving(tmp_path, "--max_requests_per_second=3") as server:
        answers = [requests.post(f"{server.url()}:predict", json={"instances": ["1"]}) for _ in range(20)]
        refused = [answer.json() for answer in answers if answer.status_code == 429]
        assert answers[0].ok and refused
        assert refused[0] == {"error": "More than 3 requests a second from 127.0.0.1"}
        wait_for(lambda: requests.get(server.url()).ok)


def test_a_hundred_connections_that_say_nothing_leave_others_alone(attacked):
    silent = [socket.create_connection(("127.0.0.1", attacked.rest_port)) for _ in range(100)]
    asked = [threading.Thread(target=greeting, args=(attacked,)) for _ in range(10)]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert greeting(attacked) == {"predictions": ["hello 42"]}
    for connection in silent:
        connection.close()
