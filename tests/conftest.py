"""Fixtures that several tests share."""

import logging

import fsspec
import pytest
from moto.server import ThreadedMotoServer

import pipeline  # noqa: F401  Chooses Keras 2 before TensorFlow is imported.

# Files in the order of how long they take, where that is minutes.
_LONG = (
    "test_gate",
    "test_kubeflow",
    "test_main_job",
    "test_benchmarks",
    "test_portable_runner",
    "test_served_model",
    "test_faults",
    "test_strategies",
    "test_image",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, so that no worker is busy with one of them when the other has nothing to do."""
    items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))


@pytest.fixture(scope="session")
def store():
    """A bucket of an S3-compatible server on the loopback, which the environment's endpoint names."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "somebody")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("bucket")
        yield "s3://bucket"
    server.stop()
