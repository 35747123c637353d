"""One real run of the pipeline, through its command, that the end-to-end tests look at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
SMALL = ["--set=data.generated={users: 200, items: 300, interactions: 10000}", "--set=retrieval.batch_size=256"]


def recommender(*arguments, cwd=None, **kwargs):
    """Runs the command; returns the finished process with its output as text."""
    command = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, **kwargs)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The output directory of a finished run, and what it printed."""
    output = tmp_path_factory.mktemp("run")
    done = recommender("run", "--output", output, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout
