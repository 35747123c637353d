"""Runs that are started, by KFP's real client on a server that has the routes of KFP's API that are used."""

import socket

import pytest

from tests.e2e.conftest import recommender
from tests.kubeflow.regenerate import GOLDEN

PLACES = ["--pipeline", str(GOLDEN)]


@pytest.fixture
def failed(command):
    """Runs a command that ends with a status; returns its last line."""

    def run(status, *arguments):
        done = command(*arguments)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr.strip().splitlines()[-1]

    return run


def test_submit_sends_the_pipeline_with_typed_parameters(api):
    address, asked = api.address, api.asked
    done = recommender(
        "kubeflow",
        "submit",
        *PLACES,
        f"--host={address}",
        "--param=span=2026-11-24",
        "--param=retrieval_epochs=8",
        "--pipeline-root=s3://models/runs",
        "--service-account=trainer",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Run r-1.")
    method, path, run = asked[-1]
    assert (method, path) == ("POST", "/apis/v2beta1/runs")
    assert run["experiment_id"] == "e-1"
    assert run["service_account"] == "trainer"
    assert run["runtime_config"] == {
        "parameters": {"span": "2026-11-24", "retrieval_epochs": 8},
        "pipeline_root": "s3://models/runs",
    }
    assert len(run["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]) == 18
    assert "kubernetes" in run["pipeline_spec"]["platform_spec"]["platforms"]


def test_schedule_sends_when(api, command):
    address, asked = api.address, api.asked
    done = command("schedule", *PLACES, f"--host={address}", "--cron=0 3 * * *")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "Recurring run s-1"
    assert "Still enabled: s-0." in done.stderr and "s-00" not in done.stderr
    _, path, recurring = asked[-1]
    assert path == "/apis/v2beta1/recurringruns"
    assert recurring["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (recurring["mode"], recurring["max_concurrency"], recurring["no_catchup"]) == ("ENABLE", 1, True)


def test_unschedule_disables(api, command):
    assert command("unschedule", "s-0", f"--host={api.address}").returncode == 0
    assert api.asked[-1][:2] == ("POST", "/apis/v2beta1/recurringruns/s-0:disable")


def test_an_unknown_namespace(api, failed):
    line = failed(1, "submit", *PLACES, f"--host={api.address}", "--namespace=nobody")
    assert 'refuses (404): namespaces "nobody" not found' in line and "give --namespace" in line


def test_no_host(failed, monkeypatch):
    monkeypatch.delenv("KFP_HOST", raising=False)
    assert "give --host URL, or set KFP_HOST" in failed(2, "status", "r-1")


def test_a_host_that_does_not_answer(failed):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        line = failed(1, "submit", *PLACES, f"--host=http://127.0.0.1:{free.getsockname()[1]}")
    assert "does not answer" in line and "kubectl port-forward" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", *PLACES, "--param=spam=1"], "--param spam=1: expected NAME=VALUE with one of data, "),
        (["submit", *PLACES, "--param=ranking_epochs=many"], "ranking_epochs has to be a whole number"),
        (["submit", "--pipeline=none.yaml"], "none.yaml: no such file. Make it with `recommender kubeflow compile`"),
        (["schedule", *PLACES, "--cron=nightly"], "expected five fields"),
        (["compile", "--config=demo"], "generates its data"),
        (["compile", "--output=pipeline.json"], "has to end in .yaml"),
        (["compile", "--set=kubeflow.resources.Trainer={cpu: 4}"], "kubeflow.resources.Trainer: no such component"),
        (["compile", "--set=kubeflow.gpus=-1"], "kubeflow.gpus: Input should be greater than or equal to 0"),
    ],
)
def test_wrong_input(failed, arguments, message):
    assert message in failed(2, *arguments)


def test_what_compile_leaves_open_has_to_be_given_with_the_run(api, command, failed):
    done = command("compile", "--data=s3://shop")
    assert done.returncode == 0, done.stderr
    line = failed(2, "submit", f"--host={api.address}")
    assert "no default for push_destination: give --param push_destination=" in line
