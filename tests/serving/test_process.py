"""A server as a process of its own: what is said of one that does not come up."""

import pytest

from serving.errors import NotStarted, ServingError
from serving.process import running_server
from tests.serving.conftest import LONG_SECONDS


@pytest.fixture(params=["podman", "docker"])
def start(request, tmp_path, monkeypatch):
    """Starts an image with an engine, a shell script, as the only command there is."""

    def start(script=None):
        if script:
            (tmp_path / request.param).write_text(f'#!/bin/sh\n[ "$1" != version ] || exit 0\n{script}\n')
            (tmp_path / request.param).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with running_server({1: str(tmp_path)}, image="an/image", ready_seconds=LONG_SECONDS):
            raise AssertionError("nothing answers")

    return start


def test_without_an_engine(start):
    with pytest.raises(NotStarted, match=r"no container engine answers \(podman, docker\); .* an/image"):
        start()


def test_an_engine_that_was_chosen_is_the_only_one(start, monkeypatch):
    monkeypatch.setenv("CONTAINER_ENGINE", "nerdctl")
    with pytest.raises(NotStarted, match=r"no container engine answers \(nerdctl\)"):
        start("exit 0")


def test_options_of_the_environment_are_given_to_the_engine(start, monkeypatch):
    monkeypatch.setenv("CONTAINER_OPTIONS", "--ulimit nofile=1000:1000")
    with pytest.raises(NotStarted, match=r"run --rm .*--ulimit nofile=1000:1000 .*an/image"):
        start('echo "$@"; exit 1')


def test_a_server_that_stops_is_quoted(start):
    with pytest.raises(NotStarted, match="the server stopped with status 125: no … such image"):
        start("echo no; echo such image; exit 125")


def test_a_server_that_gives_the_model_up_refuses_it(start):
    with pytest.raises(ServingError, match="the model does not load: recommender did not become available") as error:
        start("echo recommender did not become available; exit 1")
    assert not isinstance(error.value, NotStarted)
