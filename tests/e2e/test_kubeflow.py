"""The compiled pipeline, executed step by step in an object store, to a pushed model that a server answers from."""

import csv
import os

import fsspec
import pytest
import requests
from rich.console import Console

from pipeline.config import load_config
from pipeline.local import processes, runner
from serving.process import running_server
from serving.sync import mirror
from tests.kubeflow import small_run
from tests.kubeflow.backend import Backend, StepFailed
from tests.kubeflow.small_run import EPOCHS, NO_QUALITY, SMALL, USERS, check_cleared, write_spec, write_tables

# They import everything themselves: one that has Beam and writes most files, one that has Keras, and the last one.
FRESH = ("InteractionGen", "Trainer-retrieval", "Pusher")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Tables that are small and real enough to learn from."""
    directory = tmp_path_factory.mktemp("data") / "tables"
    write_tables(directory)
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
    write_spec(path)
    return path


@pytest.fixture(scope="module")
def started(compiled, spans, store, tmp_path_factory):
    """A run that has not run any step."""
    return Backend(
        compiled,
        f"{store}/runs/1",
        tmp_path_factory.mktemp("pods"),
        FRESH,
        data=f"{spans}/{{span}}",
        push_destination=f"{store}/models/recommender",
        thresholds=NO_QUALITY,
        **EPOCHS,
    )


@pytest.fixture(scope="module")
def left_by_killed(started, store):
    return small_run.left_by_killed(started, store)


@pytest.fixture(scope="module")
def finished(started, left_by_killed):
    """A run of all steps, of which the first was killed half-way and tried again."""
    started.run()
    print("seconds by step:", started.seconds)
    return started


@pytest.fixture
def other_run(compiled, finished, spans, store, tmp_path):
    """Makes a run with other parameters that has the first one's outputs for what it does not run itself."""

    def make(**parameters):
        given = {"data": f"{spans}/10", "push_destination": f"{store}/models/other"} | EPOCHS | parameters
        run = Backend(compiled, f"{store}/runs/{tmp_path.name}", tmp_path, **given)
        run.outputs = dict(finished.outputs)
        return run

    return make


def test_a_step_that_was_killed_is_not_finished_and_leaves_nothing_behind_once_it_is(left_by_killed, finished, store):
    check_cleared(left_by_killed, store)


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


def test_figures_and_report_are_where_kfps_page_looks_for_them(finished):
    """Figures as metadata of an artifact, the report as the one object at its place, each under KFP's own type."""
    metrics, page = (finished.outputs["Reporter"][key] for key in ("metrics", "report"))
    assert [one["type"]["schemaTitle"] for one in (metrics, page)] == ["system.Metrics", "system.HTML"]
    measured = finished.json("Evaluator", "evaluation", "evaluation.json")["metrics"]
    assert metrics["metadata"]["blessed"] == 1
    assert metrics["metadata"]["span"] == "10"
    assert metrics["metadata"]["top_100"] == measured["retrieval"]["filtered_top_100_categorical_accuracy"]
    version = finished.outputs["Pusher"]["pushed_model"]["metadata"]["pushed_version"]
    assert metrics["metadata"]["pushed_version"] == version
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    assert s3.find(page["uri"]) == [page["uri"].removeprefix("s3://")]
    assert f"pushed as version {version}" in s3.cat(page["uri"]).decode()


def test_the_archive_holds_the_model_of_the_artifact(finished, store, tmp_path):
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    artifact = finished.outputs["Pusher"]["pushed_model"]["uri"].removeprefix("s3://")
    files = {path.removeprefix(f"{artifact}/"): s3.cat(path) for path in s3.find(artifact)}
    mirror(f"{store}/models/recommender", str(tmp_path), keep=1)
    (version,) = tmp_path.iterdir()
    assert {str(path.relative_to(version)): path.read_bytes() for path in version.rglob("*") if path.is_file()} == files


def test_the_figures_are_those_of_a_local_run(finished, data, tmp_path, monkeypatch):
    # What TensorFlow has by itself, as in a step of its own node: sums depend on how many threads share them.
    for threads in processes.THREADS:
        monkeypatch.setenv(threads, str(os.cpu_count()))
    epochs = [f"{name.replace('_', '.')}={number}" for name, number in EPOCHS.items()]
    config = load_config("movielens-csv", SMALL + epochs, data__directory=str(data))
    local = runner.run(config, str(tmp_path), Console(quiet=True), beam_workers=1)  # As a step has.
    executed = finished.json("Evaluator", "evaluation", "evaluation.json")["metrics"]
    for section in ("retrieval", "ranking", "two_stage", "recommended"):
        # Not quite equal: the last bit of TensorFlow's log1p depends on where a value lies in memory.
        assert executed[section] == pytest.approx(local["metrics"][section], rel=1e-6), section
    assert executed["baselines"] == local["metrics"]["baselines"]


def test_the_latest_span_was_read_and_its_rejected_rows_are_with_the_summary(finished):
    assert finished.json("InteractionGen", "summary", "summary.json")["users"] == USERS
    assert finished.exists("InteractionGen", "summary", "10.csv")


def test_the_epochs_of_the_run_reach_the_trainers(finished):
    losses = {
        task: len(finished.json(task, "model_run", "validation.json")["losses"])
        for task in ("Trainer-retrieval", "Trainer-ranking")
    }
    assert losses == {"Trainer-retrieval": 2, "Trainer-ranking": 1}


def test_a_model_that_misses_a_threshold_of_the_run_is_not_pushed(finished, other_run, store):
    other = other_run(thresholds='{"better_than_popularity": {"at_least": 50}, "rating_error": null, "rmse": null}')
    for name in ("Evaluator", "Pusher", "Reporter"):
        other.step(name)
    (reason,) = other.json("Evaluator", "evaluation", "evaluation.json")["not_blessed_because"]
    assert reason.startswith("better_than_popularity") and "50 times" in reason
    assert other.outputs["Pusher"]["pushed_model"]["metadata"]["pushed"] == 0
    metrics = other.outputs["Reporter"]["metrics"]["metadata"]
    assert (metrics["blessed"], metrics["refused_because"]) == (0, reason)
    assert not fsspec.filesystem("s3", use_listings_cache=False).exists(f"{store}/models/other")


def test_a_delivery_that_is_not_like_the_live_models_stops_before_training(finished, other_run, data, store):
    """Half of the users are missing; the model before stays where it is."""
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    s3.put(f"{data}/", f"{store}/bad/", recursive=True)
    header, *lines = (data / "ratings.csv").read_text().splitlines()
    half = [line for line in lines if int(line.partition(",")[0]) % 2]
    s3.pipe(f"{store}/bad/ratings.csv", "\n".join([header, *half, ""]).encode())
    pushed = s3.find(f"{store}/models/recommender")
    night = other_run(data=f"{store}/bad", push_destination=f"{store}/models/recommender")
    for name in ("InteractionGen", "StatisticsGen", "LiveModel"):
        night.step(name)
    with pytest.raises(StepFailed) as failed:
        night.step("DriftValidator")
    assert failed.value.status == 2
    error = failed.value.log.strip().splitlines()[-1]
    assert error.startswith("error: the data is not like that of the live model, version ")
    assert "times fewer users" in error and "drift.limits.fewer.users" in error
    assert s3.find(f"{store}/models/recommender") == pushed


def test_the_next_night_goes_on_from_the_weights_in_the_store(finished, other_run, data, spans, store):
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    s3.put(f"{data}/", f"{spans}/11/", recursive=True)
    header, *lines = (data / "ratings.csv").read_text().splitlines()
    latest = max(int(line.rsplit(",", 1)[1]) for line in lines)
    items = sorted({line.split(",")[1] for line in lines})
    new = [f"{user},{items[user]},4.0,{latest + 60 * user}" for user in range(1, USERS)]
    s3.pipe(f"{spans}/11/ratings.csv", "\n".join([header, *lines, *new, ""]).encode())
    night = other_run(data=f"{spans}/11", push_destination=f"{store}/models/recommender", thresholds=NO_QUALITY)
    night.outputs.clear()
    night.run()
    for task in ("Trainer-retrieval", "Trainer-ranking"):
        validation = night.json(task, "model_run", "validation.json")
        assert validation["warm_start"]["warm"], validation["warm_start"]
        assert 0 < validation["warm_start"]["new_rows"] < 2 * USERS
        assert len(validation["losses"]) == 1
    assert night.outputs["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    assert len(s3.ls(f"{store}/models/recommender")) == 2


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
