"""One real run of the pipeline, through its command, that the end-to-end tests look at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parent.parent.parent
OVERRIDES = [
    "data.generated={users: 200, items: 300, interactions: 10000}",
    "retrieval.batch_size=256",
    # However busy the machine is.
    "infra_validator.max_milliseconds=60000",
    "infra_validator.ready_seconds=600",
]
SMALL = [f"--set={override}" for override in OVERRIDES]


def recommender(*arguments, cwd=None, **kwargs):
    """Runs the command; returns the finished process with its output as text."""
    command = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, **kwargs)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The output directory of a finished run, and what it printed.

    To be read only: it is the same for all workers of pytest-xdist, of which the first that needs it makes it.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    output, printed = shared / "small_run", shared / "small_run.txt"
    with FileLock(shared / "small_run.lock"):
        if not printed.exists():
            done = recommender("run", "--output", output, *SMALL)
            assert done.returncode == 0, done.stdout + done.stderr
            printed.write_text(done.stdout)
    return output, printed.read_text()
