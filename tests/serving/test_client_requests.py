"""What the clients send: a model that answers with what it was given."""

import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import pytest
import tensorflow as tf
from click.testing import CliRunner

from serving.cli import cli
from serving.client import Recommendation, Recommender
from serving.errors import ServingError
from tests.serving.conftest import LONG_SECONDS, ROOT, serving
from tests.serving.test_client import connect, every_kind

_TEXTS, _LISTS = tf.TensorSpec([None], tf.string), tf.TensorSpec([None, None], tf.string)
_QUERY = {
    "user_id": _TEXTS,
    "timestamp": tf.TensorSpec([None], tf.int64),
    "history_item_id": _LISTS,
    "history_timestamp": tf.TensorSpec([None, None], tf.int64),
    "device": _TEXTS,
    "warmth": tf.TensorSpec([None], tf.float32),
}


class Echo(tf.Module):
    """The history with its times as titles and the moment as score; device and warmth; the filters; an only output."""

    def signatures(self):
        filters = {"exclude_item_id": _LISTS, "category": _LISTS}
        functions = {
            "serving_default": (self._known, {"user_id": _TEXTS}),
            "recommend": (self._recommend, _QUERY),
            "recommend_filtered": (self._recommend_filtered, _QUERY | filters),
            "similar": (self._similar, {"item_id": _TEXTS}),
            "only": (self._only, {"item_id": _TEXTS}),
        }
        return {
            name: tf.function(call).get_concrete_function(
                **{key: tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in inputs.items()}
            )
            for name, (call, inputs) in functions.items()
        }

    def _known(self, user_id):
        return _entries(user_id[:, tf.newaxis], tf.fill([tf.size(user_id), 1], "known"))

    def _recommend(self, timestamp, history_item_id, history_timestamp, device, warmth, **_):
        context = tf.stack([tf.strings.join(["device ", device]), tf.strings.as_string(warmth, 1)], axis=1)
        ids = tf.concat([history_item_id, context], axis=1)
        times = tf.concat([tf.strings.as_string(history_timestamp), tf.fill(tf.shape(context), "context")], axis=1)
        return _entries(ids, times) | {"score": tf.ones_like(ids, tf.float32) * tf.cast(timestamp, tf.float32)[:, None]}

    def _recommend_filtered(self, exclude_item_id, category, **_):
        ids = tf.concat([tf.strings.join(["not ", exclude_item_id]), category], axis=1)
        return _entries(ids, ids)

    def _similar(self, item_id):
        ids = tf.stack([item_id, tf.strings.join([item_id, "'"])], axis=1)
        return _entries(ids, ids)

    def _only(self, item_id):
        return {"length": tf.strings.length(item_id)}


def _entries(ids, titles):
    return {"item_id": ids, "title": titles, "score": tf.zeros_like(ids, tf.float32)}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("echo")
    model = Echo()
    tf.saved_model.save(model, str(directory / "1"), signatures=model.signatures())
    with serving(directory) as server:
        yield server


@pytest.fixture
def client(server, kind):
    port = server.grpc_port if kind[1] else server.rest_port
    with connect(kind, port, "toy", LONG_SECONDS) as client:
        yield client


def had(recommended):
    """Items and times of the history that the model was given."""
    return [(one.item_id, int(one.title)) for one in recommended if one.title != "context"]


@every_kind
def test_a_history_has_its_times_and_is_of_now_without(client):
    noon = datetime(2020, 1, 1, 13, tzinfo=timezone(timedelta(hours=1)))
    before = int(time.time())
    found = client.recommend("42", [("a", 1_600_000_000), ("b", noon), "c"])
    assert had(found)[:2] == [("a", 1_600_000_000), ("b", 1_577_880_000)]
    assert had(found)[2][0] == "c" and before <= had(found)[2][1] <= time.time()
    assert {one.score for one in found} == {0}, "the moment is the server's now"
    found = client.recommend("42", ["c"], timestamp=noon)
    assert had(found) == [("c", 1_577_880_000)] and found[0].score == pytest.approx(1_577_880_000)
    assert client.recommend("42") == [Recommendation("42", "known", 0)], "without a history the model's own"
    with pytest.raises(ServingError, match="2020-01-01T00:00:00: a datetime needs its time zone"):
        client.recommend("42", [("a", datetime(2020, 1, 1))])


def test_predict_takes_the_times_of_the_history(server):
    options = ["--rest-port", str(server.rest_port), "--model-name", "toy"]
    found = CliRunner().invoke(cli, ["predict", "42", "--history", "a,b", "--history-times", "50, 60", *options])
    assert found.exit_code == 0, found.output
    assert [line.split()[2:] for line in found.output.splitlines()[:2]] == [["50", "(a)"], ["60", "(b)"]]


@every_kind
def test_a_context_is_typed_by_the_model_and_unknown_where_not_given(client):
    def context(**given):
        return [one.item_id for one in client.recommend("42", context=given) if one.title == "context"]

    assert context(device="phone", warmth="3.5") == ["device phone", "3.5"]
    assert context(warmth=3) == ["device ", "3.0"]
    assert context(device="phone") == ["device phone", "nan"]
    with pytest.raises(ServingError, match="'warmth' is a number: could not convert string to float: 'hot'"):
        context(warmth="hot")
    with pytest.raises(ServingError, match="has no context feature 'weather'; it has device, warmth"):
        context(weather="fine")


@every_kind
def test_filters_and_exclusions(client):
    found = client.recommend("42", wanted={"category": ["a", "b"]}, exclude=["7", "8"])
    assert [one.item_id for one in found] == ["not 7", "not 8", "a", "b"]
    assert [one.item_id for one in client.recommend("42", exclude=["7"])] == ["not 7"]
    assert [one.item_id for one in client.recommend("42", wanted={"category": ["a"]})] == ["not ", "a"]
    with pytest.raises(ServingError, match="has no filter 'brand'; it has category"):
        client.recommend("42", wanted={"brand": ["a"]})


@pytest.mark.parametrize("protocol", [[], ["--grpc"]])
def test_predict_filters_and_excludes(server, protocol):
    ports = ["--port", str(server.grpc_port), "--rest-port", str(server.rest_port), "--model-name", "toy"]

    def predict(*arguments):
        return CliRunner().invoke(cli, ["predict", "42", *arguments, *protocol, *ports])

    found = predict("--wanted", "category=a, b", "--wanted", "category=c=d", "--exclude", "7,8").output.split("\n")
    assert [line.partition("  (")[2] for line in found[:-1]] == ["not 7)", "not 8)", "a, b)", "c=d)"]
    assert "has no filter 'brand'; it has category" in str(predict("--wanted", "brand=a").exception)
    refused = predict("--wanted", "category")
    assert refused.exit_code == 2 and "'category': expected NAME=VALUE" in refused.output


@every_kind
def test_similar_items_and_an_only_output(client):
    assert client.similar("7") == [Recommendation("7", "7", 0), Recommendation("7'", "7'", 0)]
    assert client.similar("7", k=1) == [Recommendation("7", "7", 0)]
    assert client.call("only", {"item_id": ["a", "bcd"]}) == {"length": [1, 3]}, "which REST does not name"


@every_kind
def test_rows_that_are_not_equally_long_are_an_error(client):
    odd = {"exclude_item_id": [["a", "b"], ["c"]]}
    with pytest.raises(ServingError, match=r"not equally long|answered 400"):
        client.call("recommend_filtered", odd)


@pytest.mark.parametrize("address", ["localhost", "localhost:http", "http://localhost", "https://localhost:8501"])
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(ServingError, match=r"expected HOST:PORT for gRPC, or http://HOST:PORT for REST"):
        Recommender(address)


def test_it_works_without_tensorflow(server):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "tensorflow_serving", "numpy"]))  # As if they were not installed.
from serving.client import Recommender
for address in ("127.0.0.1:{server.grpc_port}", "http://127.0.0.1:{server.rest_port}"):
    with Recommender(address, "toy", {LONG_SECONDS}) as client:
        print(client.similar("7", k=1)[0].item_id)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "7\n7\n"), done.stderr
