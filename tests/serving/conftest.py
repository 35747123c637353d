"""A real server process on a small model whose answers are known."""

import contextlib
import re
import subprocess
import sys
import time

import pytest
import requests
import tensorflow as tf


class Doubler(tf.Module):
    """Signatures of the shapes that the recommender's have."""

    def __init__(self, factor):
        super().__init__()
        self._factor = tf.Variable(float(factor), trainable=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="user_id")])
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

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="user_id")])
    def fail(self, user_id):
        with tf.control_dependencies([tf.debugging.assert_equal(tf.size(user_id), 0, message="never mind")]):
            return {"user_id": tf.identity(user_id)}


def export(directory, factor=2.0):
    module = Doubler(factor)
    signatures = {"serving_default": module.greet, "scale": module.scale, "fail": module.fail}
    tf.saved_model.save(module, str(directory), signatures=signatures)


@contextlib.contextmanager
def serving(base_path, *arguments):
    """Runs `recommender serve`; yields the process, its gRPC port and its REST port."""
    command = [sys.executable, "-m", "pipeline.cli", "serve", "--model-dir", str(base_path), "--model-name", "toy"]
    command += ["--port", "0", "--rest-port", "0", *arguments]
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
