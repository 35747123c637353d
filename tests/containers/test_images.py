"""What the images hold: the lock's packages, the commands, nobody's rights, and no more than they need."""

import json
import subprocess

import pytest

from tests.containers.engine import CONFINED, call, image, run_command
from tests.serving.conftest import ROOT

LOCKS = {"pipeline": ROOT / "requirements.lock", "server": ROOT / "serving" / "requirements.lock"}
_PACKAGES = "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()))"


def run(name, *command):
    """Runs a command in an image, confined as its containers are."""
    entrypoint, *arguments = command
    options = (*CONFINED, f"--entrypoint={entrypoint}", "--network=none")
    return subprocess.run(run_command(image(name), *arguments, options=options), text=True, capture_output=True)


def packages(lines):
    return {line.lower().replace("_", "-").replace(".", "-").partition("==")[0] for line in lines}


@pytest.mark.parametrize("name", LOCKS)
def test_it_holds_the_locks_packages_and_a_list_of_them(name):
    found = packages(run(name, "python", "-c", _PACKAGES).stdout.split()) - {"recommender-pipeline"}
    assert "scann" in found and found <= packages(LOCKS[name].read_text().splitlines())
    listed = json.loads(run(name, "cat", "/opt/venv/sbom.cdx.json").stdout)["components"]
    assert packages(one["name"] for one in listed) == found
    assert not {"pytest", "moto", "ruff", "implicit", "notebook", "libclang"} & found


@pytest.mark.parametrize("name", LOCKS)
def test_it_has_no_compiler_nothing_of_the_builds_network_and_a_user_who_is_not_root(name):
    done = run(name, "sh", "-c", "id -u; command -v g++ cc uv; env")
    user, *lines = done.stdout.splitlines()
    assert int(user) > 0
    (config,) = json.loads(call("image", "inspect", image(name)).stdout)
    for word in ("INDEX", "PROXY", "CERT"):
        assert not [line for line in lines if word in line.upper()]
    assert config["Config"]["Labels"]["org.opencontainers.image.revision"]


def test_the_commands_of_the_steps_image_start():
    for command in (["recommender", "--help"], ["python", "-m", "kubeflow.entrypoint", "--help"]):
        done = run("pipeline", *command)
        assert done.returncode == 0, done.stderr
    imports = "import scann, tensorflow_recommenders, tensorflow_io, pipeline.dag as p; print(p.__file__); "
    # Which hides whatever it cannot import.
    imports += "import tensorflow_model_analysis as tfma; tfma.ExtractEvaluateAndWriteResults"
    done = run("pipeline", "python", "-c", imports)
    assert done.returncode == 0 and done.stdout.startswith("/opt/venv/"), done.stderr


def test_the_servers_image_has_no_tfx_starts_all_its_commands_and_is_small():
    for command in (["serve", "--help"], ["serve", "--version"], ["predict", "--help"], ["explore", "--help"]):
        done = run("server", "python", "-m", "serving", *command)
        assert done.returncode == 0, done.stderr
    assert run("server", "python", "-m", "serving.sync", "--help").returncode == 0
    assert "No module named 'tfx'" in run("server", "python", "-c", "import tfx").stderr
    assert int(call("image", "inspect", "--format={{.Size}}", image("server")).stdout) < 1_600_000_000
