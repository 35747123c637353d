"""The compiled pipeline, executed step by step, to a pushed model that a server answers from."""

import csv
import json
import os

import pytest
import requests
from rich.console import Console

from kubeflow.compile import Locations, compile_pipeline, to_yaml
from pipeline import local_runner
from pipeline.config import load_config
from pipeline.generated import write_generated
from serving.process import running_server
from tests.kubeflow.backend import Backend, StepFailed

SIZE = "data.generated={users: 200, movies: 300, interactions: 10000}"
SMALL = ["retrieval.batch_size=256", "retrieval.epochs=3", "ranking.epochs=2"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two spans of data: an empty one, and a later one that is small and real enough to learn from."""
    parent = tmp_path_factory.mktemp("data")
    (parent / "9").mkdir()
    write_generated(load_config("demo", [SIZE]).data.generated, str(parent / "10"))
    return parent


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The spec, compiled without knowing where the data will be."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    path.write_text(to_yaml(compile_pipeline(load_config("movielens-csv", SMALL), Locations())))
    return path


@pytest.fixture(scope="module")
def finished(compiled, data, tmp_path_factory):
    """A run of all steps, whose Trainer was killed half-way and run again."""
    root = tmp_path_factory.mktemp("root")
    run = Backend(compiled, root / "store", data=f"{data}/{{span}}", push_destination=str(root / "served"))
    run.run(until="Trainer-retrieval")
    output_file = run.kill("Trainer-retrieval", when="epoch 1 of 3")
    assert not output_file.exists(), "KFP would take the step for finished"
    run.run()
    print("seconds by step:", run.seconds)
    return run, root / "served"


def test_a_blessed_model_is_pushed_and_served(finished, data):
    run, served = finished
    assert json.loads((run.uri("Evaluator", "evaluation") / "evaluation.json").read_text())["not_blessed_because"] == []
    (version,) = os.listdir(served)
    pushed = run.outputs["Pusher"]["pushed_model"]["metadata"]
    assert (pushed["pushed"], pushed["pushed_version"]) == (1, version)
    with (data / "10" / "ratings.csv").open() as file:
        user = next(csv.DictReader(file))["userId"]
    with running_server({1: str(served / version)}) as ports:
        url = f"http://127.0.0.1:{ports.rest}/v1/models/recommender:predict"
        answer = requests.post(url, json={"instances": [user]}, timeout=30).json()
    assert len(answer["predictions"][0]["movie_id"]) == 10


def test_the_figures_are_those_of_a_local_run(finished, data, tmp_path):
    run, _ = finished
    config = load_config("movielens-csv", SMALL, data__directory=f"{data}/{{span}}")
    local = local_runner.run(config, str(tmp_path), Console(quiet=True))
    executed = json.loads((run.uri("Evaluator", "evaluation") / "evaluation.json").read_text())["metrics"]
    for section in ("retrieval", "ranking", "two_stage", "recommended"):
        # Not quite equal: the last bit of TensorFlow's log1p depends on where a value lies in memory.
        assert executed[section] == pytest.approx(local["metrics"][section], rel=1e-6), section
    assert executed["baselines"] == local["metrics"]["baselines"]


def test_the_latest_span_was_read_and_its_rejected_rows_are_with_the_summary(finished):
    run, _ = finished
    summary = run.uri("InteractionGen", "summary")
    assert json.loads((summary / "summary.json").read_text())["users"] == 200
    assert (summary / "10.csv").exists()


def test_run_time_parameters_reach_their_steps(finished, compiled, data, tmp_path):
    run, _ = finished
    losses = json.loads((run.uri("Trainer-retrieval", "model_run") / "validation.json").read_text())["losses"]
    assert len(losses) == 3
    other = Backend(
        compiled,
        tmp_path / "store",
        data=str(data / "10"),
        push_destination=str(tmp_path),
        retrieval_epochs=1,
        thresholds='{"better_than_popularity": {"at_least": 50}}',
    )
    other.outputs = dict(run.outputs)
    for name in ("Evaluator", "Canary", "Pusher", "Trainer-retrieval"):
        other.step(name)
    losses = json.loads((other.uri("Trainer-retrieval", "model_run") / "validation.json").read_text())["losses"]
    assert len(losses) == 1
    (reason,) = json.loads((other.uri("Evaluator", "evaluation") / "evaluation.json").read_text())[
        "not_blessed_because"
    ]
    assert reason.startswith("better_than_popularity") and "50 times" in reason
    assert other.outputs["Pusher"]["pushed_model"]["metadata"]["pushed"] == 0


@pytest.mark.parametrize(
    ("parameters", "task", "message"),
    [
        ({"data": "{data}/9"}, "CatalogueGen", "movies.csv: no such file"),
        ({"thresholds": "[]"}, "Evaluator", "error: thresholds []:"),
        ({"retrieval_epochs": -1}, "Trainer-retrieval", "error: epochs: "),
    ],
)
def test_wrong_parameters_are_one_clear_line(finished, compiled, data, tmp_path, parameters, task, message):
    run, served = finished
    given = {"data": str(data / "10"), "push_destination": str(served)} | parameters
    given["data"] = given["data"].format(data=data)
    other = Backend(compiled, tmp_path / "store", **given)
    other.outputs = dict(run.outputs)
    with pytest.raises(StepFailed) as failed:
        other.step(task)
    assert failed.value.status == 2
    assert failed.value.log.strip().splitlines()[-1].startswith("error: ")
    assert message in failed.value.log
    assert "Traceback" not in failed.value.log
