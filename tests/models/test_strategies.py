"""tf.distribute: replicas learn what one device learns from the same global batches."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from models import inputs
from tests.models.conftest import FEATURES


def train(kind, strategy, transformed, output, workers=1):
    """The losses of the epochs, and the exported model's vectors of the items."""
    transform, rows = transformed
    raw_rows = os.path.join(os.path.dirname(rows), "raw.gz")
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(workers)]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processes = []
    for index in range(workers):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | ({"TF_CONFIG": json.dumps(cluster)} if strategy == "multi_worker" else {})
        graph = os.path.dirname(transform.transform_savedmodel_dir)
        arguments = [kind, strategy, graph, rows, raw_rows, str(output)]
        command = [sys.executable, "-m", "tests.models.train_worker", *arguments]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]
    losses = json.loads((output / "run" / "validation.json").read_text())["losses"]
    (batch,) = inputs.dataset([rows], transform, 10)
    features = {name: batch[name] for name in FEATURES.candidate_names()}
    exported = tf.saved_model.load(str(output / "model"))
    return losses, exported.candidate(features)


@pytest.fixture(scope="module", params=["retrieval", "ranking"])
def alone(request, transformed, tmp_path_factory):
    output = tmp_path_factory.mktemp("alone")
    return request.param, *train(request.param, "one_device", transformed, output)


@pytest.mark.parametrize(("strategy", "workers"), [("mirrored", 1), ("multi_worker", 2)])
def test_replicas_reach_the_losses_of_one_device(alone, transformed, tmp_path, strategy, workers):
    kind, expected, expected_vectors = alone
    losses, vectors = train(kind, strategy, transformed, tmp_path, workers)
    assert expected[-1] < expected[0] * 0.9
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(vectors, expected_vectors, rtol=1e-2, atol=1e-4)
