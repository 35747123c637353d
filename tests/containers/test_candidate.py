"""The check of a candidate before its push, with the server in a container."""

import pytest
import requests

from serving.errors import ServingError
from serving.process import running_server
from tests.containers.engine import engine, image
from tests.serving.conftest import LONG_SECONDS, export


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    """The engine that the tests found, with what it needs here."""
    name, options = engine()
    monkeypatch.setenv("CONTAINER_ENGINE", name)
    monkeypatch.setenv("CONTAINER_OPTIONS", " ".join(options))


def test_a_candidate_is_asked_in_the_image(tmp_path):
    export(tmp_path / "model")
    versions = {1: str(tmp_path / "model")}
    with running_server(versions, image("server"), model_name="toy", ready_seconds=LONG_SECONDS) as ports:
        url = f"http://127.0.0.1:{ports.rest}/v1/models/toy:predict"
        assert requests.post(url, json={"instances": ["ann"]}).json() == {"predictions": ["hello ann"]}
    with pytest.raises(requests.ConnectionError):
        requests.get(url)


def test_a_candidate_that_does_not_load_is_refused_with_the_reason(tmp_path):
    export(tmp_path / "model")
    (tmp_path / "model" / "saved_model.pb").write_bytes(b"no model")
    versions = {1: str(tmp_path / "model")}
    with (
        pytest.raises(ServingError, match=r"the model does not load: .*saved_model"),
        running_server(versions, image("server"), ready_seconds=LONG_SECONDS),
    ):
        raise AssertionError("it answers")
