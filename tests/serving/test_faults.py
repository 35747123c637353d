"""What the server goes through, as a process of its own, while clients ask it."""

import json
import signal
import socket
import threading
import time

import grpc
import hypothesis
import psutil
import pytest
import requests
import tensorflow as tf
from hypothesis import strategies as st
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from components.push_destination import push
from tests.serving.conftest import export, serving, wait_for

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_ROWS = 20
_BODY = {"signature_name": "scale", "inputs": {"number": [[1]] * _ROWS, "offset": [0] * _ROWS}}


def scale_request(rows=_ROWS):
    """Gives the model's factor in every row."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "scale"
    request.inputs["number"].CopyFrom(tf.make_tensor_proto([[1]] * rows, tf.int64))
    request.inputs["offset"].CopyFrom(tf.make_tensor_proto([0.0] * rows))
    return request


class Clients:
    """Clients in threads, half of them over each protocol, that ask until they are told to stop.

    Attributes:
      answers: by client, the factors in each answer, and over gRPC the version that gave it.
      errors: what went wrong.
    """

    def __init__(self, number, grpc_port, rest_port, refused_ends=False):
        self.answers, self.errors = [[] for _ in range(number)], []
        self._refused_ends = refused_ends
        self._stop = threading.Event()
        self._url = f"http://127.0.0.1:{rest_port}/v1/models/toy:predict"
        self._channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
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
        response = self._predict(request, timeout=30)
        return list(response.outputs["product"].float_val), response.model_spec.version.value

    def _over_rest(self, session, _):
        answer = session.post(self._url, json=_BODY, timeout=30)
        if answer.status_code == 503:
            raise requests.ConnectionError(answer.text)
        assert answer.status_code == 200, answer.text
        return [row[0] for row in answer.json()["outputs"]["product"]], None

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self.join()
        self._channel.close()

    def join(self):
        for thread in self._threads:
            thread.join()


def test_a_push_every_second_for_a_minute_fails_no_request_and_mixes_no_versions(tmp_path):
    base_path, factors = tmp_path / "models", {}

    def push_factor(factor):
        export(tmp_path / str(factor), factor)
        factors[push(str(tmp_path / str(factor)), str(base_path))[0]] = factor

    push_factor(1)
    with serving(base_path) as (process, grpc_port, rest_port), Clients(16, grpc_port, rest_port) as clients:
        for factor in range(2, 62):
            started = time.monotonic()
            push_factor(factor)
            time.sleep(max(0, 1 - (time.monotonic() - started)))
        wait_for(lambda: all(answers and answers[-1][0][0] == 61 for answers in clients.answers))
        assert process.poll() is None
    assert clients.errors == []
    for answers in clients.answers:
        assert all(len(found) == _ROWS and len(set(found)) == 1 for found, _ in answers), "one version an answer"
        assert all(version is None or factors[version] == found[0] for found, version in answers)
        served = [found[0] for found, _ in answers]
        assert served == sorted(served) and served[-1] == 61, "never back, and up to the last"
        assert len(set(served)) > 10


def test_sigterm_under_load_answers_all_that_was_accepted(tmp_path):
    export(tmp_path / "1")
    with serving(tmp_path) as (process, grpc_port, rest_port):
        with Clients(16, grpc_port, rest_port, refused_ends=True) as clients:
            time.sleep(2)
            # One that is under way for a while: accepted, so answered.
            slow = {"signature_name": "work", "instances": [300]}
            found = []
            url = f"http://127.0.0.1:{rest_port}/v1/models/toy:predict"
            under_way = threading.Thread(target=lambda: found.append(requests.post(url, json=slow)))
            under_way.start()
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            under_way.join()
            assert process.wait(timeout=30) == 0
            clients.join()
        assert clients.errors == [] and all(clients.answers)
        assert found[0].json() == {"predictions": [{"rounds": 300, "trace": 300.0}]}
        with pytest.raises(requests.ConnectionError):
            requests.post(url, json=_BODY)


def test_after_kill_9_a_new_process_serves_from_disk(tmp_path):
    export(tmp_path / "1")
    for _ in range(2):
        with serving(tmp_path) as (process, _, port):
            url = f"http://127.0.0.1:{port}/v1/models/toy:predict"
            assert requests.post(url, json=_BODY).json()["outputs"]["product"][0] == [2.0]
            process.kill()


def test_ten_thousand_rows_are_answered_and_too_many_bytes_refused(server):
    _, grpc_port, url = server
    users = [str(n) for n in range(10_000)]
    answer = requests.post(f"{url}:predict", json={"instances": users})
    assert answer.json()["predictions"] == [f"hello {user}" for user in users]
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(scale_request(10_000))
        assert list(response.outputs["product"].float_val) == [2.0] * 10_000
        with pytest.raises(grpc.RpcError) as error:
            channel.unary_unary(_PREDICT)(bytes(17 << 20))
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    answer = requests.post(f"{url}:predict", data=b'{"instances": ["' + bytes(17 << 20) + b'"]}')
    assert (answer.status_code, answer.json()) == (413, {"error": "Request body is larger than 16777216 bytes"})


def test_clients_that_vanish_and_slow_ones_leave_the_others_alone(server):
    port = int(server[2].split(":")[2].split("/")[0])
    body = json.dumps({"signature_name": "scale", "inputs": {"number": [[1] * 500] * 200, "offset": [0] * 200}})
    head = f"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    slow = []
    for n in range(60):
        connection = socket.create_connection(("127.0.0.1", port))
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
            assert requests.post(f"{server[2]}:predict", json=_BODY, timeout=20).status_code == 200
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
    ["serving_default", "scale", "count", "fail", "work", "whole", "", "__saved_model_init_op"]
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


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory):
    """A server of its own; it has to be there afterwards, and no larger than its work explains."""
    base_path = tmp_path_factory.mktemp("fuzzed")
    export(base_path / "1")
    with serving(base_path) as (process, grpc_port, rest_port):
        url = f"http://127.0.0.1:{rest_port}/v1/models/toy"
        requests.post(f"{url}:predict", json=_BODY)
        before = psutil.Process(process.pid).memory_info().rss
        yield grpc_port, url
        assert process.poll() is None
        assert requests.post(f"{url}:predict", json=_BODY).json()["outputs"]["product"] == [[2.0]] * _ROWS
        assert psutil.Process(process.pid).memory_info().rss - before < 200 << 20


def test_malformed_rest_requests_get_proper_errors(fuzzed):
    session = requests.Session()
    raw = st.binary(max_size=50) | mutated(json.dumps(_BODY).encode())
    bodies = _bodies.map(lambda body: json.dumps(body).encode()) | raw

    @_many
    @hypothesis.given(body=bodies, method=st.sampled_from(["predict", "classify", "regress"]))
    def ask(body, method):
        answer = session.post(f"{fuzzed[1]}:{method}", data=body)
        assert answer.status_code in (200, 400), answer.text
        found = answer.json()
        assert ("error" in found) == (answer.status_code != 200)
        assert "Traceback" not in answer.text and 'File "' not in answer.text

    ask()


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deeply_nested_json_is_an_error(fuzzed, depth):
    answer = requests.post(f"{fuzzed[1]}:predict", data='{"instances": ' + "[" * depth + "1" + "]" * depth + "}")
    assert answer.status_code == 400
    assert "JSON Parse error" in answer.json()["error"] or "nest" in answer.json()["error"]


def test_malformed_grpc_messages_get_proper_errors(fuzzed):
    methods = ["Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"]
    proper = {"INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
    with grpc.insecure_channel(f"127.0.0.1:{fuzzed[0]}") as channel:

        @_many
        @hypothesis.given(
            body=st.binary(max_size=50) | mutated(scale_request(2).SerializeToString()), method=st.sampled_from(methods)
        )
        def ask(body, method):
            try:
                channel.unary_unary(f"/tensorflow.serving.PredictionService/{method}")(body, timeout=20)
            except grpc.RpcError as error:
                assert error.code().name in proper, error

        ask()


def test_a_shape_without_values_takes_no_memory(fuzzed):
    request = scale_request(1)
    for size in (1 << 40, -1):
        request.inputs["number"].tensor_shape.dim[0].size = size
        with grpc.insecure_channel(f"127.0.0.1:{fuzzed[0]}") as channel, pytest.raises(grpc.RpcError) as error:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=20)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_server_that_is_busy_says_so_and_recovers(tmp_path):
    export(tmp_path / "1")
    (tmp_path / "batching").write_text("max_batch_size { value: 1 } max_enqueued_batches { value: 2 }")
    with serving(tmp_path, "--batching_parameters_file", tmp_path / "batching") as (_, _, port):
        url = f"http://127.0.0.1:{port}/v1/models/toy:predict"
        codes = []

        def ask():
            codes.append(requests.post(url, json={"signature_name": "work", "instances": [200]}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(codes) == len(threads), "none was cut off"
        assert sorted(set(codes)) == [200, 429] and codes.count(200) >= 3
        wait_for(lambda: requests.post(url, json={"instances": ["1"]}).status_code == 200)
