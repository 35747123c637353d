"""Fixtures that several tests share."""

import gc
import logging
import os
import subprocess
from pathlib import Path

import fsspec
import pytest
from filelock import FileLock
from moto.server import ThreadedMotoServer

import pipeline  # noqa: F401  Chooses Keras 2 before TensorFlow is imported.

_TESTS = Path(__file__).parent
_FIGURES = pytest.StashKey[dict[str, object]]()
# What takes long, the longest first.
_SLOW = (
    "e2e/test_kubeflow.py",
    "e2e/test_gate.py",
    "e2e/test_nights.py",
    "e2e/test_reruns.py",
    "e2e/test_explore.py",
    "e2e/test_examples.py",
    "e2e/test_benchmark_scale.py",
    "e2e/test_benchmark_models.py",
    "e2e/test_portable_runner.py",
    "e2e/test_features.py",
    "e2e/test_small_data.py",
    "e2e/test_served_model.py",
    "e2e/test_rules.py",
    "models/test_strategies.py",
    "e2e/test_benchmark_serving.py",
    "e2e/test_main_job.py",
    "serving/test_faults.py",
    "components/test_drift.py",
    "components/test_messy.py",
    "serving/test_hostile.py",
    "benchmarks/test_starvation.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what is slow, and has it come first, so that no worker is left alone with it in the end."""
    places = {_TESTS / file: place for place, file in enumerate(_SLOW)}
    for path in places:
        assert path.exists(), f"{path}: no such tests"
    for item in items:
        if item.path in places:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish():
    """Has the garbage collector pass over all that is imported, as in the processes of components."""
    gc.freeze()


@pytest.fixture(scope="session")
def figures(pytestconfig):
    """What is measured, by name: pytest prints it at its end, where it runs in one process."""
    return pytestconfig.stash.setdefault(_FIGURES, {})


def pytest_terminal_summary(terminalreporter, config):
    """Prints what was measured."""
    for name, value in config.stash.get(_FIGURES, {}).items():
        terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium, headless: the machine's own, or what scripts/browser.sh installs."""
    from playwright.sync_api import sync_playwright

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    with FileLock(shared / "browser.lock"):
        script = _TESTS.parent / "scripts" / "browser.sh"
        found = subprocess.run([script], capture_output=True, text=True)
    if found.returncode:
        pytest.fail(found.stderr.strip().splitlines()[-1], pytrace=False)
    # Ends with the module, as other tests have event loops of their own.
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found.stdout.strip())
        yield chromium
        chromium.close()


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
