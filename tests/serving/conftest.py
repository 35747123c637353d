"""A real server process on a small model whose answers are known."""

import contextlib
import re
import subprocess
import sys
import time

import pytest
import requests
import tensorflow as tf

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

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="rounds")])
    def work(self, rounds):
        """Keeps a processor busy for some milliseconds a round; gives the rounds."""
        matrix = tf.eye(300)

        def multiply(done, product):
            return done + 1, product @ matrix

        done, product = tf.while_loop(lambda done, _: done < tf.reduce_max(rounds), multiply, (0, matrix))
        return {"rounds": tf.fill(tf.shape(rounds), done), "trace": tf.fill(tf.shape(rounds), tf.linalg.trace(product))}

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32, name="x"), tf.TensorSpec([2], tf.float32, name="y")])
    def whole(self, x, y):
        """Has no batch dimension."""
        return {"sum": x + tf.reduce_sum(y)}


def export(directory, factor=2.0):
    module = Doubler(factor)
    names = {"serving_default": module.greet}
    signatures = names | {name: getattr(module, name) for name in ("scale", "fail", "count", "work", "whole")}
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


@contextlib.contextmanager
def serving(base_path, *arguments):
    """Runs `recommender serve`; yields the process, its gRPC port and its REST port."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--model-dir", str(base_path), "--model-name", "toy"]
    command += ["--port", "0", "--rest-port", "0", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                found = re.search(r"gRPC on 127.0.0.1:(\d+), REST on 127.0.0.1:(\d+)", line)
                if found:
                    break
            yield process, int(found[1]), int(found[2])
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    base_path = tmp_path_factory.mktemp("toy")
    export(base_path / "7")
    (base_path / "not-a-version").mkdir()
    with serving(base_path) as (_, grpc_port, rest_port):
        yield base_path, grpc_port, f"http://127.0.0.1:{rest_port}/v1/models/toy"


def wait_for(condition, seconds=20):
    """Polls until a condition holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(requests.ConnectionError):
            if condition():
                return
        time.sleep(0.1)
    raise AssertionError("the condition did not come true")
