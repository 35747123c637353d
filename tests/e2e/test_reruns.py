"""Runs into one output directory, one after another: each test goes on where the one before it stopped."""

import html
import importlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.config import load_config
from pipeline.errors import RunError
from pipeline.local import processes, runner
from tests.e2e.conftest import OVERRIDES, ROOT, SMALL, recommender, recommender_here
from tests.e2e.test_main_job import COMPONENTS, report, shown_by_kfp

RETRAINED = ["retrieval.seed=1"]


def started(output):
    """A run in a group of processes of its own."""
    command = [sys.executable, "-m", "pipeline.cli", "run", "--output", str(output), *SMALL]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)


def run(output, *overrides):
    """As the command does, in this process; returns the report."""
    return runner.run(load_config("demo", [*OVERRIDES, *overrides]), str(output), Console(quiet=True))


def done_anew(found):
    return set(COMPONENTS) - set(found["cached"])


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("reruns")


@pytest.fixture(scope="module")
def first(output):
    """The report of a run that was killed while it trained, and was started again."""
    with started(output) as process:
        for line in process.stdout:
            if "epoch 1 of" in line:
                os.killpg(process.pid, signal.SIGKILL)
                break
    assert not (output / "report.json").exists()
    done = recommender("run", "--output", output, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    return report(output)


@pytest.fixture
def broken(monkeypatch):
    """Lets every process that is started from now on have one of `faults`."""

    def broken(fault):
        monkeypatch.setattr(processes, "start", lambda name, *what: start(name, faults.run_with, fault, *what))

    monkeypatch.syspath_prepend(Path(__file__).parent)  # For the processes; `tests` may be some other package there.
    faults = importlib.import_module("faults")
    start = processes.start
    return broken


def test_a_killed_run_goes_on_where_it_was(first):
    assert first["blessed"]
    again = {"Trainer.ranking", "Trainer.retrieval", "RecommenderBuilder", "Evaluator", "InfraValidator"}
    assert done_anew(first) == again | {"Pusher", "Reporter"}


def test_a_second_run_reuses_every_component_and_pushes_nothing(output, first):
    done = recommender_here("run", "--output", output, *SMALL)
    assert done.returncode == 0, done.stderr
    second = report(output)
    assert done_anew(second) == set()
    assert second["metrics"] == first["metrics"]
    assert os.listdir(second["serving_model_dir"]) == [second["pushed_version"]] == [first["pushed_version"]]


def test_a_changed_limit_evaluates_again_and_a_refused_model_is_not_pushed(output, first):
    limit = "--set=evaluation.thresholds.better_than_popularity.at_least=50"
    done = recommender_here("run", "--output", output, *SMALL, limit)
    assert done.returncode == 3, done.stderr
    refused = report(output)
    assert not refused["blessed"] and refused["pushed_version"] is None
    (reason,) = refused["not_blessed_because"]
    assert reason.startswith("better_than_popularity: filtered_top_10_categorical_accuracy is ")
    assert "(50 times the " in reason and "of popularity)" in reason
    assert reason in done.stdout
    metrics, page = shown_by_kfp(output)
    assert (metrics["blessed"], metrics["refused_because"]) == (0.0, reason)
    assert "Refused: nothing was pushed" in page and reason in html.unescape(page)
    assert done_anew(refused) == {"Evaluator", "Pusher", "Reporter"}
    assert os.listdir(first["serving_model_dir"]) == [first["pushed_version"]]


def test_a_model_whose_server_answers_too_late_is_not_pushed(output, first):
    refused = run(output, "infra_validator.max_milliseconds=1e-6")
    assert not refused["blessed"] and refused["pushed_version"] is None
    assert refused["not_blessed_because"] == report(output)["not_blessed_because"]
    assert [reason.split(":")[0] for reason in refused["not_blessed_because"]] == ["served"] * 2
    assert done_anew(refused) == {"InfraValidator", "Pusher", "Reporter"}
    assert os.listdir(first["serving_model_dir"]) == [first["pushed_version"]]


def test_a_version_that_was_deleted_is_pushed_again(output, first):
    shutil.rmtree(Path(first["serving_model_dir"], first["pushed_version"]))
    pushed = run(output)
    assert done_anew(pushed) == {"Pusher", "Reporter"}
    assert os.listdir(pushed["serving_model_dir"]) == [pushed["pushed_version"]] != [first["pushed_version"]]


@pytest.mark.parametrize(
    ("fault", "component", "changed"),
    [
        ("killed_beam_worker", "InteractionGen", ["split.eval_share=0.3"]),
        ("killed_trainer", "Trainer.retrieval", RETRAINED),
    ],
)
def test_a_killed_process_stops_the_run(fault, component, changed, output, first, broken):
    broken(fault)
    with pytest.raises(RunError, match=rf"{component} failed: its process was killed by signal 9"):
        run(output, *changed)


def test_the_next_run_goes_on_and_a_retrained_model_is_compared_with_the_live_one(output, first):
    (live,) = os.listdir(first["serving_model_dir"])
    retrained = run(output, *RETRAINED)
    assert retrained["not_blessed_because"] == []
    again = {"Trainer.retrieval", "RecommenderBuilder", "Evaluator", "InfraValidator", "Pusher", "Reporter"}
    assert done_anew(retrained) == again
    assert retrained["metrics"]["baselines"]["live"]["version"] == live
    assert sorted(os.listdir(first["serving_model_dir"])) == [live, retrained["pushed_version"]]


def test_two_runs_into_one_output_do_not_mix(tmp_path):
    with started(tmp_path) as process:
        process.stdout.readline()
        done = recommender("run", "--output", tmp_path, *SMALL)
        os.killpg(process.pid, signal.SIGKILL)
    assert done.returncode == 2
    assert "another run is writing" in done.stderr
