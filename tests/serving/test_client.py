"""The clients, asking real servers over both protocols."""

import asyncio
import contextlib
import http.server
import json
import threading
from concurrent import futures

import grpc
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from serving.client import PAUSES_SECONDS, AsyncRecommender, Recommendation, Recommender, Unavailable
from serving.errors import ServingError
from tests.serving.conftest import LONG_SECONDS


class Waited:
    """An AsyncRecommender, each of whose answers is waited for."""

    def __init__(self, *arguments, **options):
        self._loop = asyncio.new_event_loop()
        self._client = AsyncRecommender(*arguments, **options)

    def __getattr__(self, name):
        method = getattr(self._client, name)
        return lambda *arguments, **options: self._loop.run_until_complete(method(*arguments, **options))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self._loop.close()


def connect(kind, port, *arguments, **options):
    """A client of one of the two kinds, over one of the two protocols."""
    made, use_grpc = kind
    return made(f"127.0.0.1:{port}" if use_grpc else f"http://127.0.0.1:{port}", *arguments, **options)


KINDS = {
    "REST": (Recommender, False),
    "gRPC": (Recommender, True),
    "REST, asynchronous": (Waited, False),
    "gRPC, asynchronous": (Waited, True),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


NOT_READY = {False: http.HTTPStatus.SERVICE_UNAVAILABLE, True: grpc.StatusCode.UNAVAILABLE}
BROKEN = {False: http.HTTPStatus.INTERNAL_SERVER_ERROR, True: grpc.StatusCode.INTERNAL}
NO_PAUSES = [0.0] * len(PAUSES_SECONDS)


@contextlib.contextmanager
def asking(configured, kind, model_name="recommender"):
    server = configured.server
    port = server.grpc_port if kind[1] else server.rest_port
    with connect(kind, port, model_name, LONG_SECONDS) as client:
        yield client


@every_kind
def test_lists_are_those_of_each_user(configured, kind):
    with asking(configured, kind) as client:
        whole = [Recommendation("1", "One", 3), Recommendation("2", "Two", 2), Recommendation("3", "Three", 1)]
        assert client.recommend("42") == whole
        assert client.recommend("42", k=2) == whole[:2]
        assert client.recommend("42", ["2"]) == [whole[0], whole[2]], "a short list is shorter"
        assert client.recommend(history=["2"] * 200) == [whole[0], whole[2]], "longer than what requests are padded to"
        assert client.recommend_many(["42", ""]) == [whole, whole]
        assert client.recommend_many(["42", ""], [["2"], []], k=2) == [[whole[0], whole[2]], whole[:2]]
        assert client.recommend_many([]) == []
        with pytest.raises(ServingError, match="gives 3 recommendations at most, not 4: ask for fewer"):
            client.recommend("42", k=4)
        with pytest.raises(ServingError, match="has no context feature 'device'; it has none"):
            client.recommend("42", context={"device": "phone"})


@every_kind
def test_many_users_are_asked_about_in_several_requests(configured, kind):
    with asking(configured, kind) as client:
        histories = [[str(number % 3 + 1)] for number in range(300)]
        lists = client.recommend_many([""] * 300, histories)
    assert [{*history} | {item.item_id for item in items} for history, items in zip(histories, lists, strict=True)] == [
        {"1", "2", "3"}
    ] * 300


@every_kind
def test_dtypes_are_those_of_the_signature(configured, kind):
    with asking(configured, kind, "toy") as client:
        assert client.call("scale", {"number": [[1, 2]], "offset": [1]}) == {
            "product": [[3.0, 5.0]],
            "raw_bytes": [["1", "2"]] if kind[1] else [[{"b64": "MQ=="}, {"b64": "Mg=="}]],
        }
        answer = client.call("scale", {"number": [[], []], "offset": [0.5, 0.5]})
        assert answer["product"] == [[], []]


@every_kind
@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("no", {"user_id": ["1"]}, "no.* not found"),
        ("scale", {"number": [[1]], "set_off": [1.0]}, "offset"),
        ("fail", {"user_id": ["1"]}, "never mind"),
    ],
)
def test_what_the_server_refuses_is_an_error_in_its_words(configured, kind, signature, inputs, message):
    with asking(configured, kind, "toy") as client, pytest.raises(ServingError, match=message) as error:
        client.call(signature, inputs)
    assert not isinstance(error.value, Unavailable)


@every_kind
def test_without_a_server_the_client_says_so(closed_port, kind):
    client = connect(kind, closed_port, pauses_seconds=NO_PAUSES)
    with client, pytest.raises(Unavailable, match=f"no server answers .* on 127.0.0.1:{closed_port}: start one with"):
        client.recommend("1")


class RefusingRest:
    """Answers with one status after the other, and then properly."""

    def __init__(self, statuses):
        self.asked = 0
        remaining = iter(statuses)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(handler):
                self.asked += 1
                handler.rfile.read(int(handler.headers["Content-Length"]))
                status = next(remaining, 200)
                outputs = {"item_id": [["1"]], "title": [["One"]], "score": [[0.0]]}
                body = json.dumps({"error": "not now"} if status != 200 else {"outputs": outputs}).encode()
                handler.send_response(status)
                handler.send_header("Content-Length", str(len(body)))
                handler.end_headers()
                handler.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,)).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class RefusingGrpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers with one status after the other, and then properly."""

    def __init__(self, statuses):
        self.asked = self.asked_for_signatures = 0
        self._remaining = iter(statuses)
        self._server = grpc.server(futures.ThreadPoolExecutor(1))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def GetModelMetadata(self, request, context):
        self.asked_for_signatures += 1
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signatures.signature_def["serving_default"].inputs["user_id"].dtype = types_pb2.DT_STRING
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        return response

    def Predict(self, request, context):
        self.asked += 1
        status = next(self._remaining, None)
        if status:
            context.abort(status, "not now")
        response = predict_pb2.PredictResponse()
        for name, value in {"item_id": "1", "title": "One", "score": 0.0}.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto([[value]]))
        return response

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()


@contextlib.contextmanager
def refusing(kind, status, times):
    """A server that answers with a status so many times, and a client of it that does not pause."""
    with (
        (RefusingGrpc if kind[1] else RefusingRest)([status] * times) as server,
        connect(kind, server.port, timeout_seconds=LONG_SECONDS, pauses_seconds=NO_PAUSES) as client,
    ):
        yield server, client


@every_kind
def test_an_unavailable_server_is_asked_three_times(kind):
    with refusing(kind, NOT_READY[kind[1]], times=5) as (server, client):
        with pytest.raises(Unavailable, match="not now"):
            client.recommend("1")
        assert server.asked == 3
        assert client.recommend("1") == [Recommendation("1", "One", 0.0)], "the third of the next three"
        assert server.asked == 6


@pytest.mark.parametrize("kind", [kind for name, kind in KINDS.items() if "gRPC" in name])
def test_what_a_server_that_stops_cancels_is_asked_again(kind):
    with refusing(kind, grpc.StatusCode.CANCELLED, times=2) as (server, client):
        assert client.recommend("1") == [Recommendation("1", "One", 0.0)]
        assert server.asked == 3


@every_kind
def test_other_errors_are_not_tried_again(kind):
    with refusing(kind, BROKEN[kind[1]], times=1) as (server, client):
        with pytest.raises(ServingError, match="not now") as error:
            client.recommend("1")
        assert not isinstance(error.value, Unavailable)
        assert server.asked == 1


def test_signatures_are_read_once():
    with refusing(KINDS["gRPC"], None, times=0) as (server, client):
        for _ in range(3):
            client.recommend("1")
        assert (server.asked, server.asked_for_signatures) == (3, 1)
