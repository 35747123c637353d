"""serving/docker-compose.yml with this repository's image, run by podman-compose or docker."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from moto.server import ThreadedMotoServer

from serving import archives
from serving.client import Recommender
from tests.containers.engine import engine, free_port, image
from tests.serving.conftest import ROOT, export_shelf, wait_for


@pytest.fixture
def compose(tmp_path):
    """Runs the file with values for its variables, and ends what it has started; yields what calls it."""
    name, options = engine()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["docker", "compose"]
    if name == "podman":
        found = shutil.which("podman-compose", path=path)
        assert found, "no podman-compose: `make setup` installs it"
        command = [found, f"--podman-run-args={' '.join(options)}"]
    command += ["--file", str(ROOT / "serving" / "docker-compose.yml"), "--project-name", "test"]
    environment = os.environ | {"PATH": path, "SERVER_IMAGE": image("server"), "MODEL_DIR": str(tmp_path / "models")}
    environment |= {port: str(free_port()) for port in ("GRPC_PORT", "REST_PORT", "PAGE_PORT")}

    def call(*arguments, **more):
        done = subprocess.run([*command, *arguments], env=environment | more, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout + done.stderr

    try:
        yield call, environment
    finally:
        with contextlib.suppress(AssertionError):
            call("--profile=mirror", "--profile=explore", "down", "--volumes", "--timeout=5")


def test_the_model_is_served_on_the_loopback_and_shown_on_the_page(tmp_path, compose):
    call, environment = compose
    export_shelf(tmp_path / "models" / "recommender" / "1")
    call("--profile=explore", "up", "--detach", "recommender", "explore")
    rest, grpc = environment["REST_PORT"], environment["GRPC_PORT"]
    wait_for(lambda: requests.get(f"http://127.0.0.1:{rest}/v1/models/recommender/metadata").ok)
    for address in (f"http://127.0.0.1:{rest}", f"127.0.0.1:{grpc}"):
        with Recommender(address) as client:
            assert [item.item_id for item in client.recommend("ann")] == ["1", "2", "3"]
    assert requests.get(f"http://127.0.0.1:{rest}/monitoring/prometheus/metrics").ok
    wait_for(lambda: "<title>" in requests.get(f"http://127.0.0.1:{environment['PAGE_PORT']}/").text)


def test_the_mirror_brings_what_is_pushed(tmp_path, compose, store):
    """Containers reach the store by a second server, as the first is on the loopback alone."""
    call, environment = compose
    models = tmp_path / "models" / "recommender"
    models.mkdir(parents=True)
    for path in (models, models.parent):
        path.chmod(0o777)
    export_shelf(tmp_path / "exported")
    archives.upload(str(tmp_path / "exported"), f"{store}/compose", 1)
    host = subprocess.run(["hostname", "-I"], text=True, capture_output=True, check=True).stdout.split()[0]
    server = ThreadedMotoServer("0.0.0.0", 0)
    server.start()
    try:
        _, port = server.get_host_and_port()
        seen = {"PUSH_DESTINATION": f"{store}/compose", "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        call("--profile=mirror", "up", "--detach", "recommender", "mirror", **seen)
        url = f"http://127.0.0.1:{environment['REST_PORT']}/v1/models/recommender/metadata"
        wait_for(lambda: requests.get(url).ok)
    finally:
        server.stop()
