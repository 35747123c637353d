"""A server with KFP's routes, and the commands that talk to it."""

import sys
from typing import NamedTuple

import pytest

from pipeline import cli
from tests.kubeflow.api import Api


@pytest.fixture
def api():
    with Api() as served:
        yield served


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Runs a `recommender kubeflow` command in this process, which imports KFP once, in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["recommender", "kubeflow", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as exit:
            status = exit.code
        return Done(status, *capsys.readouterr())

    return run
