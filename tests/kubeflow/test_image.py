"""The Dockerfile: linted, and its install steps run in a clean directory, as far as that goes without an engine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT

DOCKERFILE = ROOT / "kubeflow" / "Dockerfile"
INSTRUCTIONS = [
    tuple(line.split(maxsplit=1))
    for line in re.sub(r"\\\n\s*", "", DOCKERFILE.read_text()).splitlines()
    if line and not line.startswith("#")
]
STAGE_STARTS = [number for number, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM"]


def test_the_linter_has_nothing_to_say():
    done = subprocess.run([Path(sys.executable).parent / "hadolint", DOCKERFILE], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_is_pinned_and_does_not_run_as_root():
    for name, value in INSTRUCTIONS:
        assert name in ("FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER")
        if name == "FROM":
            assert re.match(r"python:3\.10\.\d+-slim-\w+( AS build)?$", value)
    assert [value for name, value in INSTRUCTIONS[STAGE_STARTS[1] :] if name == "USER"] == ["1000"]
    setup = (ROOT / "scripts" / "setup.sh").read_text()
    (uv,) = re.findall(r"uv==([\d.]+)", DOCKERFILE.read_text())
    assert f"UV_VERSION={uv}\n" in setup


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The environment that the first stage's steps make, from what .dockerignore lets through."""
    directory = tmp_path_factory.mktemp("image")
    build, environment = directory / "build", directory / "venv"
    build.mkdir()
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = [pattern[1:] for pattern in patterns if pattern.startswith("!") and (ROOT / pattern[1:]).exists()]
    for name, value in INSTRUCTIONS[STAGE_STARTS[0] : STAGE_STARTS[1]]:
        if name == "COPY":
            *sources, _ = value.split()
            for source in allowed if sources == ["."] else sources:
                _copy(ROOT / source, build / source)
        elif name == "RUN":
            command = value.replace("/opt/venv", str(environment))
            if value.startswith("pip install"):
                command = f"{sys.executable} -m venv {directory}/tools && {directory}/tools/bin/{command}"
            command = command.replace("uv venv", f"uv venv --python {sys.executable}")
            command = command.replace("--compile-bytecode ", "").replace(
                "--no-cache ", f"--cache-dir {ROOT}/.tools/cache "
            )  # What the set-up fetched.
            path = f"{directory}/tools/bin:{os.environ['PATH']}"
            done = subprocess.run(command, shell=True, cwd=build, env=os.environ | {"PATH": path}, capture_output=True)
            assert done.returncode == 0, (command, done.stderr.decode()[-3000:])
    _lend_bytecode(environment)
    yield environment
    shutil.rmtree(directory)


def _lend_bytecode(environment: Path) -> None:
    """Links what Python has compiled of this interpreter's packages: it takes what is of the very same source files."""
    for path, directories, _ in os.walk(sys.prefix):
        if "__pycache__" in directories:
            target = environment / os.path.relpath(path, sys.prefix)
            if target.is_dir() and not (target / "__pycache__").exists():
                (target / "__pycache__").symlink_to(Path(path, "__pycache__").resolve())
            directories.remove("__pycache__")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def run(environment, *command):
    """Runs with what the image's environment would have, and nothing of this checkout's."""
    values = {"PATH": f"{environment}/bin:/usr/bin:/bin", "HOME": str(environment), "TF_USE_LEGACY_KERAS": "1"}
    values["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(command, cwd=environment, env=values, text=True, capture_output=True)


def test_it_holds_what_the_lock_says_and_nothing_that_only_tests_need(installed):
    uv = installed.parent / "tools" / "bin" / "uv"
    done = run(installed, uv, "pip", "freeze", "--python", installed / "bin" / "python")
    found = {line for line in done.stdout.splitlines() if not line.startswith("recommender-pipeline @")}
    assert found and found <= set((ROOT / "requirements.lock").read_text().splitlines())
    names = {line.partition("==")[0] for line in found}
    assert {"tensorflow", "scann", "tensorflow-recommenders", "tfx", "tensorflow-io"} <= names
    assert not {"pytest", "moto", "ruff", "implicit"} & names


def test_its_commands_start(installed):
    for command in (["recommender", "--help"], ["python", "-m", "serving.sync", "--help"]):
        done = run(installed, *command)
        assert done.returncode == 0, done.stderr
    imports = "import scann, tensorflow_recommenders, tensorflow_io, pipeline.dag as p; print(p.__file__)"
    done = run(installed, "python", "-c", imports)
    assert done.stdout.startswith(str(installed)), done.stderr
