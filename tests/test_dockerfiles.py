"""The Dockerfiles, linted. What is built from them is looked at in tests/containers/."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

_SETUP = (ROOT / "scripts" / "setup.sh").read_text()


@pytest.fixture(params=["kubeflow", "serving"])
def dockerfile(request):
    return ROOT / request.param / "Dockerfile"


def test_the_linter_has_nothing_to_say(dockerfile):
    done = subprocess.run([Path(sys.executable).parent / "hadolint", dockerfile], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_pinned_and_ends_as_a_user_who_is_not_root(dockerfile):
    text = dockerfile.read_text()
    assert re.findall(r"^ARG BASE_IMAGE=.*/python:3\.10\.\d+-slim-\w+$", text, re.MULTILINE)
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["$BASE_IMAGE AS build", "$BASE_IMAGE"]
    (uv,) = re.findall(r"uv==([\d.]+)", text)
    assert f"UV_VERSION={uv}\n" in _SETUP
    (user,) = re.findall(r"^USER (\d+)", text, re.MULTILINE)
    assert int(user) > 0
    (version,) = re.findall(r'image\.version="(.*)"', text)
    assert version == metadata.version("recommender-pipeline")


def test_the_servers_lock_is_the_projects_with_tensorflow_for_processors_alone():
    lock = set((ROOT / "requirements.lock").read_text().splitlines())
    (tensorflow,) = (line for line in lock if line.startswith("tensorflow=="))
    alone = set((ROOT / "serving" / "requirements.lock").read_text().splitlines()) - lock
    assert alone == {tensorflow.replace("tensorflow", "tensorflow-cpu")}
