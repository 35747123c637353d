"""The compiled pipeline, executed step by step in an object store, to a pushed model that a server answers from."""

import csv
import os

import fsspec
import pytest
import requests
from rich.console import Console

from kubeflow.compile import Locations, compile_pipeline, to_yaml
from pipeline.config import load_config
from pipeline.data.generator import write_generated
from pipeline.local import runner
from serving.process import running_server
from serving.sync import mirror
from tests.kubeflow.backend import Backend, StepFailed

SIZE = "data.generated={users: 200, items: 300, interactions: 10000}"
SMALL = ["retrieval.batch_size=256", "retrieval.epochs=3", "ranking.epochs=2"]
ENVIRONMENT = [
    "kubeflow.secrets={recommender-store: [AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]}",
    "kubeflow.config_maps={recommender-store: [AWS_ENDPOINT_URL, AWS_DEFAULT_REGION]}",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Tables that are small and real enough to learn from."""
    directory = tmp_path_factory.mktemp("data") / "tables"
    write_generated(load_config("demo", [SIZE]).data.generated, str(directory))
    return directory


@pytest.fixture(scope="module")
def spans(data, store):
    """Two spans of data: one without tables, and a later one with them."""
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    s3.pipe(f"{store}/data/9/README", b"nothing came in")
    s3.put(f"{data}/", f"{store}/data/10/", recursive=True)
    return f"{store}/data"


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The spec, compiled without knowing where the data will be."""
    path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    path.write_text(to_yaml(compile_pipeline(load_config("movielens-csv", SMALL + ENVIRONMENT), Locations())))
    return path


@pytest.fixture(scope="module")
def finished(compiled, spans, store, tmp_path_factory):
    """A run of all steps, whose Trainer was killed half-way and run again."""
    run = Backend(
        compiled,
        f"{store}/runs/1",
        tmp_path_factory.mktemp("pods"),
        data=f"{spans}/{{span}}",
        push_destination=f"{store}/models/recommender",
    )
    run.run(until="Trainer-retrieval")
    output_file = run.kill("Trainer-retrieval", when="epoch 1 of 3")
    assert not output_file.exists(), "KFP would take the step for finished"
    run.run()
    print("seconds by step:", run.seconds)
    return run


@pytest.fixture
def other_run(compiled, finished, spans, store, tmp_path):
    """Makes a run with other parameters that has the first one's outputs for what it does not run itself."""

    def make(**parameters):
        given = {"data": f"{spans}/10", "push_destination": f"{store}/models/other"} | parameters
        run = Backend(compiled, f"{store}/runs/{tmp_path.name}", tmp_path, **given)
        run.outputs = dict(finished.outputs)
        return run

    return make


def test_a_blessed_model_is_pushed_and_served(finished, data, store, tmp_path):
    assert finished.json("Evaluator", "evaluation", "evaluation.json")["not_blessed_because"] == []
    pushed = finished.outputs["Pusher"]["pushed_model"]["metadata"]
    mirror(f"{store}/models/recommender", str(tmp_path / "models"), keep=2)
    (version,) = (tmp_path / "models").iterdir()
    assert (pushed["pushed"], pushed["pushed_version"]) == (1, version.name)
    with (data / "ratings.csv").open() as file:
        user = next(csv.DictReader(file))["userId"]
    with running_server({1: str(version)}) as ports:
        url = f"http://127.0.0.1:{ports.rest}/v1/models/recommender:predict"
        answer = requests.post(url, json={"instances": [user]}, timeout=30).json()
    assert len(answer["predictions"][0]["item_id"]) == 10


def test_the_archive_holds_the_model_of_the_artifact(finished, store, tmp_path):
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    artifact = finished.outputs["Pusher"]["pushed_model"]["uri"].removeprefix("s3://")
    files = {path.removeprefix(f"{artifact}/"): s3.cat(path) for path in s3.find(artifact)}
    mirror(f"{store}/models/recommender", str(tmp_path), keep=1)
    (version,) = tmp_path.iterdir()
    assert {str(path.relative_to(version)): path.read_bytes() for path in version.rglob("*") if path.is_file()} == files


def test_the_figures_are_those_of_a_local_run(finished, data, tmp_path, monkeypatch):
    # What TensorFlow has by itself, as in a step of its own node: sums depend on how many threads share them.
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", str(os.cpu_count()))
    config = load_config("movielens-csv", SMALL, data__directory=str(data))
    local = runner.run(config, str(tmp_path), Console(quiet=True), beam_workers=1)  # As a step has.
    executed = finished.json("Evaluator", "evaluation", "evaluation.json")["metrics"]
    for section in ("retrieval", "ranking", "two_stage", "recommended"):
        # Not quite equal: the last bit of TensorFlow's log1p depends on where a value lies in memory.
        assert executed[section] == pytest.approx(local["metrics"][section], rel=1e-6), section
    assert executed["baselines"] == local["metrics"]["baselines"]


def test_the_latest_span_was_read_and_its_rejected_rows_are_with_the_summary(finished):
    assert finished.json("InteractionGen", "summary", "summary.json")["users"] == 200
    assert finished.exists("InteractionGen", "summary", "10.csv")


def test_run_time_parameters_reach_their_steps(finished, other_run):
    assert len(finished.json("Trainer-retrieval", "model_run", "validation.json")["losses"]) == 3
    other = other_run(retrieval_epochs=1, thresholds='{"better_than_popularity": {"at_least": 50}}')
    for name in ("Evaluator", "InfraValidator", "Pusher", "Trainer-retrieval"):
        other.step(name)
    assert len(other.json("Trainer-retrieval", "model_run", "validation.json")["losses"]) == 1
    (reason,) = other.json("Evaluator", "evaluation", "evaluation.json")["not_blessed_because"]
    assert reason.startswith("better_than_popularity") and "50 times" in reason
    assert other.outputs["Pusher"]["pushed_model"]["metadata"]["pushed"] == 0


@pytest.mark.parametrize(
    ("parameters", "task", "message"),
    [
        ({"data": "{spans}/9"}, "ItemGen", "movies.csv: no such file"),
        ({"thresholds": "[]"}, "Evaluator", "error: thresholds []:"),
        ({"retrieval_epochs": -1}, "Trainer-retrieval", "error: epochs: "),
    ],
)
def test_wrong_parameters_are_one_clear_line(other_run, spans, parameters, task, message):
    if "data" in parameters:
        parameters = {"data": parameters["data"].format(spans=spans)}
    with pytest.raises(StepFailed) as failed:
        other_run(**parameters).step(task)
    assert failed.value.status == 2
    assert failed.value.log.strip().splitlines()[-1].startswith("error: ")
    assert message in failed.value.log
    assert "Traceback" not in failed.value.log
