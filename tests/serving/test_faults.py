"""What the server goes through, as a process of its own, while clients ask it."""

import functools
import itertools
import json
import signal
import socket
import threading
from concurrent import futures
from typing import NamedTuple

import grpc
import hypothesis
import psutil
import pytest
import requests
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from tests.serving.conftest import LONG_SECONDS, Gate, export, serving, wait_for

_ROWS = 20
_BODY = {"signature_name": "scale", "inputs": {"number": [[1]] * _ROWS, "offset": [0] * _ROWS}}


def scale_request(rows=_ROWS):
    """Gives the model's factor in every row."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "scale"
    request.inputs["number"].CopyFrom(tf.make_tensor_proto([[1]] * rows, tf.int64))
    request.inputs["offset"].CopyFrom(tf.make_tensor_proto([0.0] * rows))
    return request


class Answer(NamedTuple):
    """The model's factor in each row, and over gRPC the version that answered."""

    factors: list[float]
    version: int | None


class Clients:
    """Clients in threads, half of them over each protocol, that ask until they are told to stop.

    Attributes:
      answers: a list for each client.
      errors: what went wrong.
    """

    def __init__(self, number, server, refused_ends=False):
        self.answers, self.errors = [[] for _ in range(number)], []
        self._refused_ends = refused_ends
        self._stop = threading.Event()
        self._url = f"{server.url()}:predict"
        self._channel = server.channel()
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel).Predict
        self._threads = [
            threading.Thread(target=self._run, args=(self._over_grpc if n % 2 else self._over_rest, self.answers[n]))
            for n in range(number)
        ]

    def _run(self, ask, answers):
        session, request = requests.Session(), scale_request()
        while not self._stop.is_set():
            try:
                answers.append(ask(session, request))
            except (requests.ConnectionError, grpc.RpcError) as error:
                gone = not isinstance(error, grpc.RpcError) or error.code() == grpc.StatusCode.UNAVAILABLE
                if not (self._refused_ends and gone):
                    self.errors.append(error)
                return
            except Exception as error:
                self.errors.append(error)
                return

    def _over_grpc(self, _, request):
        response = self._predict(request, timeout=LONG_SECONDS)
        return Answer(list(response.outputs["product"].float_val), response.model_spec.version.value)

    def _over_rest(self, session, _):
        answer = session.post(self._url, json=_BODY, timeout=LONG_SECONDS)
        if answer.status_code == 503:
            raise requests.ConnectionError(answer.text)
        assert answer.status_code == 200, answer.text
        return Answer([row[0] for row in answer.json()["outputs"]["product"]], None)

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self.join()

    def join(self):
        """Waits until every client has stopped."""
        for thread in self._threads:
            thread.join()
        self._channel.close()


def test_pushes_under_load_fail_no_request_and_mix_no_versions(tmp_path):
    """Every second push comes right after the one before; the others wait until all clients get that version."""
    base_path, last = tmp_path / "models", 24

    def push(factor):
        (tmp_path / "exported" / str(factor)).rename(base_path / str(factor))

    def every_client_gets(factor):
        return clients.errors or all(answers and answers[-1].factors[0] == factor for answers in clients.answers)

    for factor in range(1, last + 1):
        export(tmp_path / "exported" / str(factor), factor, ["scale"])
    base_path.mkdir()
    push(1)
    with serving(base_path, "--file_system_poll_wait_seconds=0.05") as server, Clients(16, server) as clients:
        for factor in range(2, last + 1):
            push(factor)
            if factor % 2 == 0:
                wait_for(functools.partial(every_client_gets, factor))
        assert server.process.poll() is None
    assert clients.errors == []
    for answers in clients.answers:
        assert all(len(answer.factors) == _ROWS for answer in answers)
        assert all(len({*answer.factors} | {answer.version or answer.factors[0]}) == 1 for answer in answers)
        served = [answer.factors[0] for answer in answers]
        assert served == sorted(served), "never back"
        assert set(served) >= set(range(2, last + 1, 2))


def refuses(server):
    """Whether the server has begun to stop. Asks for what needs no model, so that a busy one keeps nobody waiting."""
    try:
        return requests.get(f"{server.url()}/metadata").status_code == 503
    except requests.ConnectionError:
        return True


def test_sigterm_under_load_answers_all_that_was_accepted(tmp_path):
    export(tmp_path / "models" / "1")
    with (
        serving(tmp_path / "models") as server,
        futures.ThreadPoolExecutor() as pool,
        Clients(16, server, refused_ends=True) as clients,
        Gate(tmp_path) as gate,
    ):
        wait_for(lambda: all(clients.answers))
        body = {"signature_name": "hold", "instances": [gate.path]}
        accepted = pool.submit(requests.post, f"{server.url()}:predict", json=body)
        gate.wait_until_reached()
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: refuses(server))
        gate.open()
        assert accepted.result().json() == {"predictions": [gate.path]}
        clients.join()
        assert server.process.wait(LONG_SECONDS) == 0
        assert clients.errors == []
        with pytest.raises(requests.ConnectionError):
            requests.post(f"{server.url()}:predict", json=_BODY)


def test_after_kill_9_a_new_process_serves_from_disk(tmp_path):
    export(tmp_path / "1")
    for _ in range(2):
        with serving(tmp_path) as server:
            answer = requests.post(f"{server.url()}:predict", json=_BODY)
            assert answer.json()["outputs"]["product"][0] == [2.0]
            server.process.kill()


def test_ten_thousand_rows_are_answered(server):
    url = server.url()
    users = [str(n) for n in range(10_000)]
    answer = requests.post(f"{url}:predict", json={"instances": users})
    assert answer.json()["predictions"] == [f"hello {user}" for user in users]
    with server.channel() as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(scale_request(10_000))
        assert list(response.outputs["product"].float_val) == [2.0] * 10_000


def test_clients_that_vanish_and_slow_ones_leave_the_others_alone(server):
    body = json.dumps({"signature_name": "scale", "inputs": {"number": [[1] * 500] * 200, "offset": [0] * 200}})
    head = f"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    slow = []
    for n in range(60):
        connection = socket.create_connection(("127.0.0.1", server.rest_port))
        if n % 3 == 0:  # Gone in the middle of the body.
            connection.sendall((head + body[: len(body) // 2]).encode())
            connection.close()
        elif n % 3 == 1:  # Gone before the answer.
            connection.sendall((head + body).encode())
            connection.close()
        else:  # Reads nothing of a large answer, or sends nothing more.
            connection.sendall((head + body[: len(body) * (n % 2)]).encode())
            slow.append(connection)
    try:
        for _ in range(20):
            assert requests.post(f"{server.url()}:predict", json=_BODY, timeout=LONG_SECONDS).status_code == 200
    finally:
        for connection in slow:
            connection.close()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just({"b64": "w6k="}),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["number", "offset", "user_id", "b64", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
_signatures = st.sampled_from(
    ["serving_default", "scale", "count", "fail", "negate", "whole", "", "__saved_model_init_op"]
)
_bodies = st.fixed_dictionaries(
    {}, optional={"signature_name": _signatures | _json, "inputs": _json, "instances": _json, "examples": _json}
)
_many = hypothesis.settings(
    max_examples=1500,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(hypothesis.HealthCheck),
)


def mutated(valid):
    """Bytes of a valid message with some of them changed, left out or put in."""
    edit = st.tuples(st.integers(0, len(valid) - 1), st.integers(0, 2), st.binary(max_size=4))

    def apply(edits):
        found = bytearray(valid)
        for place, length, new in edits:
            found[place : place + length] = new
        return bytes(found)

    return st.lists(edit, min_size=1, max_size=4).map(apply)


# Gives freed memory back at once, so that what a process holds does not depend on how many threads it has.
_EXACT_MEMORY = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def allocated_bytes(process):
    """The memory of a process, without the files that are mapped into it."""
    memory = psutil.Process(process.pid).memory_info()
    return memory.rss - memory.shared


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """A server of its own; it has to be there afterwards, and to have forgotten what it was asked."""
    base_path = tmp_path_factory.mktemp("fuzzed")
    export(base_path / "1")
    with serving(base_path, environment=_EXACT_MEMORY) as server:
        requests.post(f"{server.url()}:predict", json=_BODY)
        before = allocated_bytes(server.process)
        yield server
        assert server.process.poll() is None
        answer = requests.post(f"{server.url()}:predict", json=_BODY)
        assert answer.json()["outputs"]["product"] == [[2.0]] * _ROWS
        assert allocated_bytes(server.process) - before < 50 << 20


def test_malformed_rest_requests_get_proper_errors(fuzzed):
    session = requests.Session()
    raw = st.binary(max_size=50) | mutated(json.dumps(_BODY).encode())
    bodies = _bodies.map(lambda body: json.dumps(body).encode()) | raw

    @_many
    @hypothesis.given(body=bodies, method=st.sampled_from(["predict", "classify", "regress"]))
    def ask(body, method):
        answer = session.post(f"{fuzzed.url()}:{method}", data=body)
        assert answer.status_code in (200, 400), answer.text
        found = answer.json()
        assert ("error" in found) == (answer.status_code != 200)
        assert "Traceback" not in answer.text and 'File "' not in answer.text

    ask()


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deeply_nested_json_is_an_error(fuzzed, depth):
    answer = requests.post(f"{fuzzed.url()}:predict", data='{"instances": ' + "[" * depth + "1" + "]" * depth + "}")
    assert answer.status_code == 400
    assert "JSON Parse error" in answer.json()["error"] or "nest" in answer.json()["error"]


def test_malformed_grpc_messages_get_proper_errors(fuzzed):
    methods = ["Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"]
    proper = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
    with fuzzed.channel() as channel:

        @_many
        @hypothesis.given(
            body=st.binary(max_size=50) | mutated(scale_request(2).SerializeToString()), method=st.sampled_from(methods)
        )
        def ask(body, method):
            try:
                channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")(body, timeout=LONG_SECONDS)
            except grpc.RpcError as error:
                assert error.code().name in proper, error

        ask()


def test_a_shape_without_values_takes_no_memory(fuzzed):
    request = scale_request(1)
    for size in (1 << 40, -1):
        request.inputs["number"].tensor_shape.dim[0].size = size
        with fuzzed.channel() as channel, pytest.raises(grpc.RpcError) as error:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=LONG_SECONDS)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_server_that_is_busy_says_so_and_recovers(configured, tmp_path):
    """One request runs, one of five others fills the queue, and the rest are refused."""
    url = f"{configured.server.url()}:predict"

    def ask(rows):
        body = {"signature_name": "hold", "instances": [gate.path] * rows}
        return requests.post(url, json=body).status_code

    with futures.ThreadPoolExecutor() as pool, Gate(tmp_path) as gate:
        running = pool.submit(ask, 1)
        gate.wait_until_reached()
        others = [pool.submit(ask, 400) for _ in range(5)]
        refused = list(itertools.islice(futures.as_completed(others), 4))
        assert [request.result() for request in refused] == [429] * 4
        gate.open()
        assert running.result() == 200
        assert sorted(request.result() for request in others) == [200, *[429] * 4]
    assert requests.post(url, json={"instances": ["1"]}).status_code == 200
