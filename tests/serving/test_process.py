"""A server as a process of its own: what is said of one that does not come up."""

import pytest

from serving.errors import NotStarted, ServingError
from serving.process import running_server
from tests.serving.conftest import LONG_SECONDS


def start(tmp_path, monkeypatch, docker=None):
    """Starts an image with `docker`, a shell script, as the only command there is."""
    if docker:
        (tmp_path / "docker").write_text(f"#!/bin/sh\n{docker}\n")
        (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with running_server({1: str(tmp_path)}, image="an/image", ready_seconds=LONG_SECONDS):
        raise AssertionError("nothing answers")


def test_without_an_engine(tmp_path, monkeypatch):
    with pytest.raises(NotStarted, match="docker is not installed; it is needed to run an/image"):
        start(tmp_path, monkeypatch)


def test_a_server_that_stops_is_quoted(tmp_path, monkeypatch):
    with pytest.raises(NotStarted, match="the server stopped with status 125: no … such image"):
        start(tmp_path, monkeypatch, "echo no; echo such image; exit 125")


def test_a_server_that_gives_the_model_up_refuses_it(tmp_path, monkeypatch):
    with pytest.raises(ServingError, match="the model does not load: recommender did not become available") as error:
        start(tmp_path, monkeypatch, "echo recommender did not become available; exit 1")
    assert not isinstance(error.value, NotStarted)
