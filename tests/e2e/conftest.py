"""Real runs of the pipeline, through its command, that the end-to-end tests look at."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline import cli
from tests.e2e.shop import write_config

ROOT = Path(__file__).parent.parent.parent
OVERRIDES = [
    "data.generated={users: 200, items: 300, interactions: 10000}",
    "retrieval.batch_size=256",
    # However busy the machine is.
    "infra_validator.max_milliseconds=60000",
]
SMALL = [f"--set={override}" for override in OVERRIDES]


def recommender(*arguments, cwd=None, **kwargs):
    """Runs the command; returns the finished process with its output as text."""
    command = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True, **kwargs)


def recommender_here(*arguments):
    """As `recommender`, in this process: it has made the imports, which are much of what a small run takes."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        with _printing_to(1, out), _printing_to(2, errors), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["recommender", *map(str, arguments)])
            patch.setenv("COLUMNS", "200")
            try:
                cli.main()
                status = 0
            except SystemExit as end:
                status = end.code
        printed = []
        for file in (out, errors):
            file.seek(0)
            printed.append(file.read())
        return subprocess.CompletedProcess(arguments, status, *printed)


@contextlib.contextmanager
def _printing_to(descriptor, file):
    """Has all that is printed there go to a file, by this process and by those that it starts."""
    saved = os.dup(descriptor)
    redirect = {1: contextlib.redirect_stdout, 2: contextlib.redirect_stderr}[descriptor]
    os.dup2(file.fileno(), descriptor)
    try:
        with redirect(os.fdopen(descriptor, "w", buffering=1, closefd=False)):
            yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """The output directory of a finished run, and what it printed. To be read only."""

    def run(directory):
        done = recommender("run", "--output", directory / "run", *SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        (directory / "printed").write_text(done.stdout)

    directory = _made_once(tmp_path_factory, "small_run", run)
    return directory / "run", (directory / "printed").read_text()


@pytest.fixture(scope="session")
def shop_run(tmp_path_factory):
    """A directory with a shop's data, and `run`, the output directory of a finished run on it. To be read only."""

    def run(directory):
        few = ["--set=retrieval.epochs=1", "--set=ranking.epochs=1"]
        done = recommender_here("run", "--config", write_config(directory), "--output", directory / "run", *few)
        assert done.returncode in (0, 3), done.stdout + done.stderr

    return _made_once(tmp_path_factory, "shop_run", run)


def _made_once(tmp_path_factory, name, make):
    """The same directory for all workers of pytest-xdist, of which the first that needs it has it made."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    directory = shared / name
    with FileLock(shared / f"{name}.lock"):
        if not (directory / "made").exists():
            directory.mkdir(exist_ok=True)
            make(directory)
            (directory / "made").touch()
    return directory
