"""Real server processes on small models whose answers are known."""

import contextlib
import ctypes
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

ROOT = Path(__file__).parents[2]
LONG_SECONDS = 120  # What a test waits at most for something that takes no time: longer than any machine is busy.

_GRPC, _REST = (re.compile(rf"{protocol} on 127.0.0.1:(\d+)") for protocol in ("gRPC", "REST"))
_STRINGS = tf.TensorSpec([None], tf.string, name="user_id")


class Doubler(tf.Module):
    """Signatures of the shapes that the recommender's have."""

    def __init__(self, factor):
        super().__init__()
        self._factor = tf.Variable(float(factor), trainable=False)

    @tf.function(input_signature=[_STRINGS])
    def greet(self, user_id):
        return {"greeting": tf.strings.join(["hello ", user_id])}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None], tf.int64, name="number"),
            tf.TensorSpec([None], tf.float32, name="offset"),
        ]
    )
    def scale(self, number, offset):
        product = tf.cast(number, tf.float32) * self._factor + offset[:, tf.newaxis]
        return {"product": product, "raw_bytes": tf.strings.as_string(number)}

    @tf.function(input_signature=[_STRINGS])
    def fail(self, user_id):
        """Fails on a row that is not empty."""
        wrong = tf.reduce_sum(tf.strings.length(user_id))
        with tf.control_dependencies([tf.debugging.assert_equal(wrong, 0, message="never mind")]):
            return {"user_id": tf.identity(user_id)}

    @tf.function(input_signature=[_STRINGS])
    def count(self, user_id):
        """How many rows the model got, in each row."""
        return {"rows": tf.fill(tf.shape(user_id), tf.size(user_id))}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="number")])
    def negate(self, number):
        return {"negative": -number}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="path")])
    def hold(self, path):
        """Keeps the model busy until the gate at the first row's path is opened."""
        with tf.control_dependencies([tf.io.write_file(path[0] + Gate.REACHED, "")]):
            passed = tf.io.write_file(path[0], "")
        with tf.control_dependencies([passed]):
            return {"path": tf.identity(path)}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x"), tf.TensorSpec([2], tf.float32, name="y")])
    def whole(self, x, y):
        """Has no batch dimension."""
        return {"sum": x + tf.reduce_sum(y)}


class Gate:
    """Holds requests of the signature `hold` inside the model until it is opened, at the latest on exit."""

    REACHED = ".reached"

    def __init__(self, directory):
        self.path = str(directory / "gate")
        os.mkfifo(self.path)  # Whoever opens it to write waits until somebody has it open to read.

    def wait_until_reached(self):
        """Returns once the model holds a request."""
        wait_for(lambda: os.path.exists(self.path + self.REACHED))

    def open(self):
        """Lets go of what is held, and of whatever comes later."""
        os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)  # Never closed: a request may come to it after the test.

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.open()


class Shelf(tf.Module):
    """A recommender of three items, "1" to "3", the lowest first; those in the history are left out.

    As in a real one, blanks around an id are none of it. User -5 gets one item, whose id and title do not fit a line.
    """

    def __init__(self):
        super().__init__()
        self._ids, self._titles = tf.constant(["1", "2", "3", ""]), tf.constant(["One", "Two", "Three", ""])

    @tf.function(input_signature=[_STRINGS])
    def serving_default(self, user_id):
        history = tf.zeros([tf.size(user_id), 0], tf.string)
        return self.recommend(user_id, tf.zeros_like(user_id, tf.int64), history, tf.zeros_like(history, tf.int64))

    @tf.function(
        input_signature=[
            _STRINGS,
            tf.TensorSpec([None], tf.int64, name="timestamp"),
            tf.TensorSpec([None, None], tf.string, name="history_item_id"),
            tf.TensorSpec([None, None], tf.int64, name="history_timestamp"),
        ]
    )
    def recommend(self, user_id, timestamp, history_item_id, history_timestamp):
        seen = tf.reduce_any(tf.strings.strip(history_item_id)[:, :, tf.newaxis] == self._ids[:3], axis=1)
        places = tf.sort(tf.where(seen, 3, tf.range(3)), axis=1)
        odd = (user_id == "-5")[:, tf.newaxis] & (places == 0)
        return {
            "item_id": tf.where(odd, "1\x1b", tf.gather(self._ids, places)),
            "title": tf.where(odd, "[bold]One[/bold]\r\ntwo\u2028", tf.gather(self._titles, places)),
            "score": 3 - tf.cast(places, tf.float32),
        }


def export(directory, factor=2.0, others=("scale", "fail", "count", "negate", "hold", "whole")):
    module = Doubler(factor)
    signatures = {"serving_default": module.greet} | {name: getattr(module, name) for name in others}
    tf.saved_model.save(module, str(directory), signatures=signatures)


def export_shelf(directory):
    module = Shelf()
    signatures = {"serving_default": module.serving_default, "recommend": module.recommend}
    tf.saved_model.save(module, str(directory), signatures=signatures)


def export_of_examples(directory):
    """A model that classifies and regresses `tf.train.Example`s with one feature, `x`: scores x and 1 - x, value 2x."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None])
        x = v1.io.parse_example(serialized, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
        classes = tf.tile([["yes", "no"]], [tf.size(x), 1])
        scores = tf.stack([x, 1 - x], axis=1)
        signatures = {
            "serving_default": v1.saved_model.classification_signature_def(serialized, classes, scores),
            "value": v1.saved_model.regression_signature_def(serialized, 2 * x),
        }
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(session, [tf.saved_model.SERVING], signatures)
        builder.save()


class OfExamples(tf.Module):
    """What `export_of_examples` makes, as TensorFlow 2 exports it: every method is called `predict`."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def classify(self, inputs):
        x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]
        return {"classes": tf.tile([["yes", "no"]], [tf.size(x), 1]), "scores": tf.stack([x, 1 - x], axis=1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def regress(self, inputs):
        return {"outputs": 2 * tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32)})["x"]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="inputs")])
    def integers(self, inputs):
        """Classes that are no texts, and too few."""
        return {"classes": tf.zeros([1, 2], tf.int32), "scores": tf.zeros([1, 2])}


def export_of_examples_by_tensorflow_2(directory):
    module = OfExamples()
    signatures = {"serving_default": module.classify, "value": module.regress, "integers": module.integers}
    tf.saved_model.save(module, str(directory), signatures=signatures)


def write_warm_up(directory, user):
    """Gives a model two warm-up requests: for `fail`, and for a method that is not warmed up."""
    other, log = prediction_log_pb2.PredictionLog(), prediction_log_pb2.PredictionLog()
    other.classify_log.request.model_spec.name = "toy"
    log.predict_log.request.model_spec.signature_name = "fail"
    log.predict_log.request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(user, tf.string))
    path = directory / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(other.SerializeToString())
        writer.write(log.SerializeToString())


class Server(NamedTuple):
    """A running server."""

    process: subprocess.Popen
    grpc_port: int
    rest_port: int

    def url(self, model_name="toy"):
        return f"http://127.0.0.1:{self.rest_port}/v1/models/{model_name}"

    def channel(self):
        return grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}")


def without_roots_rights():
    """Makes the program that a process starts obey the modes of files, though root starts it."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH.
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP, which fails where there is nothing to drop.


@contextlib.contextmanager
def serving(base_path, *arguments, environment=None, prepare=None, ports="--free-ports", log=None):
    """Runs `python -m serving serve` on the model `toy`."""
    command = [sys.executable, "-m", "serving", "serve", "--model-dir", str(base_path), "--model-name", "toy"]
    command += [ports, *map(str, arguments)]
    kwargs = {"env": os.environ | (environment or {}), "preexec_fn": prepare, "stderr": log}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, **kwargs) as process:
        try:
            said = next((line for line in process.stdout if line.startswith("Serving ")), "")
            assert said, "the server stopped"
            yield Server(process, *(int(found[1]) if (found := port.search(said)) else 0 for port in (_GRPC, _REST)))
        finally:
            process.terminate()
            try:
                process.wait(LONG_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    base_path = tmp_path_factory.mktemp("toy")
    export(base_path / "7")
    (base_path / "not-a-version").mkdir()
    with serving(base_path) as server:
        yield server


MODELS_CONFIG = """
model_config_list {
  config { name: "toy" base_path: "DIR/toy" model_version_policy { all {} } version_labels { key: "stable" value: 1 } }
  config { name: "examples" base_path: "DIR/examples" model_platform: "tensorflow" }
  config { name: "warmed" base_path: "DIR/warmed" }
  config { name: "recommender" base_path: "DIR/recommender" }
}
"""


class ConfiguredServer(NamedTuple):
    """A running server of several models, and the file that names them."""

    server: Server
    models_config: Path


@pytest.fixture(scope="session")
def configured(tmp_path_factory):
    """All that configuration files can say: several models, labels, batches of 4, a queue of 400, another path.

    Models: `toy`, its versions 1 and 2 with these factors; `examples`, which takes tf.train.Examples; `warmed`, whose
    version 2 fails on its warm-up request; `recommender`, a `Shelf`.
    """
    directory = tmp_path_factory.mktemp("configured")
    for version in (1, 2):
        export(directory / "toy" / str(version), factor=version)
    export_of_examples(directory / "examples" / "1")
    for version, user in (("1", []), ("2", ["one that fails"])):
        export(directory / "warmed" / version)
        write_warm_up(directory / "warmed" / version, user)
    export_shelf(directory / "recommender" / "1")
    models, batching, monitoring = (directory / name for name in ("models", "batching", "monitoring"))
    models.write_text(MODELS_CONFIG.replace("DIR", str(directory)))
    batching.write_text("max_batch_size { value: 4 } max_enqueued_batches { value: 100 }")
    monitoring.write_text('prometheus_config { enable: true path: "/metrics" }')
    arguments = ["--model_config_file", models, "--model_config_file_poll_wait_seconds=0.05", "--enable_batching=true"]
    arguments += ["--batching_parameters_file", batching, "--monitoring_config_file", monitoring]
    with serving(directory, *arguments) as server:
        yield ConfiguredServer(server, models)


def wait_for(condition, seconds=LONG_SECONDS):
    """Polls until a condition holds. How long that takes is no test's business, so the limit is far away."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.ConnectionError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError("the condition did not come true")


@pytest.fixture
def closed_port():
    """A port on the loopback that refuses connections: taken, but nobody listens on it."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
