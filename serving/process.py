"""Runs a server in its own process: the local one, or a container image."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import IO, NamedTuple

import requests

from serving.errors import NotStarted, ServingError

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.02
_STOP_SECONDS = 60
_LAST_LINES = 5
_ALL_VERSIONS = """
model_config_list {{
  config {{ name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" model_version_policy {{ all {{}} }} }}
}}
"""
_NOT_LOADED = "did not become available"  # TensorFlow Serving's message when it cannot load its models at the start.


class Ports(NamedTuple):
    """A server's ports on the loopback."""

    grpc: int
    rest: int


@contextlib.contextmanager
def running_server(
    versions: dict[int, str], image: str | None = None, model_name: str = "recommender", ready_seconds: float = 600
) -> Iterator[Ports]:
    """Serves models on free loopback ports inside the `with`; yields the ports once the newest version answers.

    Args:
      versions: the SavedModels' directories by version.
      image: a TensorFlow Serving image with the ScaNN ops, or serving/Dockerfile's, which serves the newest version.
        $CONTAINER_ENGINE runs it, or the first of podman and docker that answers, with $CONTAINER_OPTIONS. None runs
        `python -m serving serve`, which serves all.
      model_name: the name in requests.
      ready_seconds: how long to wait for the model.

    Raises:
      NotStarted: the server did not start, or was not ready in time; says why.
      ServingError: the server cannot load the model; says why.
    """
    ports = Ports(_free_port(), _free_port())
    with tempfile.TemporaryDirectory() as base_path, tempfile.TemporaryFile("w+") as log:
        for version, path in versions.items():
            os.symlink(os.path.abspath(path), os.path.join(base_path, str(version)))
        command = _container(image, versions, ports, model_name) if image else _local(base_path, ports, model_name)
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_until_ready(server, log, ports.rest, model_name, max(versions), ready_seconds)
            yield ports
        finally:
            server.terminate()
            try:
                server.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _local(base_path: str, ports: Ports, model_name: str) -> list[str]:
    config = os.path.join(base_path, "models.config")
    with open(config, "w", encoding="utf-8") as file:
        file.write(_ALL_VERSIONS.format(name=model_name, base_path=base_path))
    command = [sys.executable, "-m", "serving", "serve", "--model_config_file", config]
    return [*command, "--port", str(ports.grpc), "--rest-port", str(ports.rest)]


def _container(image: str, versions: dict[int, str], ports: Ports, model_name: str) -> list[str]:
    command = [_engine(image), "run", "--rm", "--init", "--env", f"MODEL_NAME={model_name}"]
    command += shlex.split(os.environ.get("CONTAINER_OPTIONS", ""))
    for version, path in versions.items():
        command += ["--volume", f"{os.path.abspath(path)}:/models/{model_name}/{version}:ro"]
    command += ["--publish", f"{_HOST}:{ports.grpc}:8500", "--publish", f"{_HOST}:{ports.rest}:8501", image]
    return [*command, "--max_num_load_retries=0"]  # It would retry for five minutes, and answer nobody meanwhile.


def _engine(image: str) -> str:
    chosen = os.environ.get("CONTAINER_ENGINE")
    engines = [chosen] if chosen else ["podman", "docker"]
    for engine in engines:
        with contextlib.suppress(FileNotFoundError):
            if subprocess.run([engine, "version"], capture_output=True).returncode == 0:
                return engine
    raise NotStarted(f"no container engine answers ({', '.join(engines)}); one is needed to run {image}")


def _wait_until_ready(
    server: subprocess.Popen, log: IO[str], rest_port: int, model_name: str, version: int, ready_seconds: float
) -> None:
    url = f"http://{_HOST}:{rest_port}/v1/models/{model_name}/versions/{version}"
    deadline = time.monotonic() + ready_seconds
    session = requests.Session()
    session.trust_env = False  # The server is on this machine, so no proxy is asked.
    while time.monotonic() < deadline:
        if server.poll() is not None:
            log.seek(0)
            lines = [line.strip() for line in log if line.strip()][-_LAST_LINES:]
            if any(_NOT_LOADED in line for line in lines):
                raise ServingError(f"the model does not load: {' … '.join(lines)}")
            raise NotStarted(f"the server stopped with status {server.returncode}: {' … '.join(lines)}")
        with contextlib.suppress(requests.ConnectionError, requests.Timeout):
            answer = session.get(url, timeout=ready_seconds)
            if answer.ok:
                status = answer.json()["model_version_status"][0]
                if status["state"] == "AVAILABLE":
                    return
                if status["state"] == "END":
                    raise ServingError(f"the model does not load: {status['status']['error_message']}")
        time.sleep(_POLL_SECONDS)
    raise NotStarted(f"the server was not ready within {ready_seconds:g} s")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((_HOST, 0))
        return free.getsockname()[1]
