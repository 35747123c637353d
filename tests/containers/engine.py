"""The container engine that scripts/engine.sh finds, and containers that end with the test."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from tests.serving.conftest import ROOT, wait_for

# What every container gets here, as a careful cluster gives it.
CONFINED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")


@functools.cache
def engine() -> tuple[str, list[str]]:
    """Its command, and the options of `run` that this machine needs."""
    done = subprocess.run([ROOT / "scripts" / "engine.sh"], text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    name, options = done.stdout.splitlines()
    return name, options.split()


@functools.cache
def image(name: str) -> str:
    """The tag that `make images` gives."""
    (version,) = re.findall(r'version="(.*)"', (ROOT / "setup.py").read_text())
    tag = f"recommender-{name}:{version}"
    assert call("image", "inspect", tag, check=False).returncode == 0, f"no image {tag}: run `make images` first"
    return tag


def call(*arguments: Any, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs a command of the engine."""
    done = subprocess.run([engine()[0], *map(str, arguments)], text=True, capture_output=True)
    assert not check or done.returncode == 0, (arguments, done.stderr)
    return done


def free_port() -> int:
    """A port of the loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def store_options() -> list[str]:
    """Options that give a container the store of the environment, which is on this machine's loopback."""
    names = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
    return ["--network=host", *(f"--env={name}={os.environ[name]}" for name in names)]


def run_command(tag: str, *arguments: str, options: Sequence[Any] = ()) -> list[str]:
    """The command that runs a container in the foreground, and removes it at its end."""
    name, needed = engine()
    return [name, "run", "--rm", *needed, *map(str, options), tag, *arguments]


class Container:
    """A container in the background."""

    def __init__(self, name: str):
        self.name = name

    @property
    def state(self) -> dict[str, Any]:
        """What the engine knows of its process."""
        return json.loads(call("inspect", self.name).stdout)[0]["State"]

    @property
    def log(self) -> str:
        """What it has printed."""
        done = call("logs", self.name)
        return done.stdout + done.stderr

    def wait_for_log(self, text: str) -> None:
        """Returns once it has printed this."""
        try:
            wait_for(lambda: text in self.log)
        except AssertionError as error:
            raise AssertionError(f"{text!r} is not in what it printed:\n{self.log}") from error

    def execute(self, *command: str) -> int:
        """Runs a command inside; its exit status."""
        return call("exec", self.name, *command, check=False).returncode

    def kill_process(self) -> None:
        """Kills its first process from outside, as the kernel does for want of memory."""
        os.kill(self.state["Pid"], signal.SIGKILL)


@contextlib.contextmanager
def running(tag: str, *arguments: str, options: Sequence[Any] = ()) -> Iterator[Container]:
    """A container that runs inside the `with`."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    call("run", "--detach", "--name", name, *engine()[1], *options, tag, *arguments)
    try:
        yield Container(name)
    finally:
        call("rm", "--force", "--volumes", name)
