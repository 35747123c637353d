"""tf.distribute: replicas learn what one device learns from the same global batches."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.models.train_worker import SECTIONS, train

WORKERS = {"mirrored": 1, "multi_worker": 2}


def start(kind, strategy, addresses, arguments):
    """The processes of a training. A process cannot have two strategies one after the other."""
    command = [sys.executable, "-m", "tests.models.train_worker", kind, strategy, *arguments]
    processes = []
    for index in range(len(addresses)):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = os.environ | ({"TF_CONFIG": json.dumps(cluster)} if strategy == "multi_worker" else {})
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    return processes


@pytest.fixture(scope="module")
def outputs(job, tmp_path_factory):
    """Where each model was trained with each strategy: all at the same time, on one device in this process."""
    as_json = json.dumps(job._asdict())
    directory = tmp_path_factory.mktemp("strategies")
    trainings = list(itertools.product(SECTIONS, WORKERS))
    with contextlib.ExitStack() as stack:  # Held until all are drawn, so that no two are the same.
        sockets = [
            [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(WORKERS[strategy])]
            for _, strategy in trainings
        ]
        addresses = [[f"127.0.0.1:{one.getsockname()[1]}" for one in some] for some in sockets]
    processes = []
    for (kind, strategy), own in zip(trainings, addresses, strict=True):
        processes += start(kind, strategy, own, [as_json, str(directory / strategy / kind)])
    for kind in SECTIONS:
        train(kind, "one_device", as_json, str(directory / "one_device" / kind))
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors[-3000:]
    return directory


def trained(directory, data):
    """The losses of the epochs, and the exported model's vectors of the items."""
    losses = json.loads((directory / "run" / "validation.json").read_text())["losses"]
    exported = tf.saved_model.load(str(directory / "model"))
    return losses, exported.candidate(data.item_table())


@pytest.mark.parametrize("kind", SECTIONS)
@pytest.mark.parametrize("strategy", WORKERS)
def test_replicas_reach_the_losses_of_one_device(strategy, kind, outputs, data):
    expected, expected_vectors = trained(outputs / "one_device" / kind, data)
    losses, vectors = trained(outputs / strategy / kind, data)
    assert expected[-1] < expected[0] * 0.9
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    np.testing.assert_allclose(vectors, expected_vectors, rtol=1e-2, atol=1e-4)
