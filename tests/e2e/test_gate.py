"""Models that must not be pushed, each really trained or broken, and honest ones that must be.

The runs share an output directory, so that each repeats only what its fault touches, against the model then live.
"""

import csv
import importlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

from components.infra_validator.executor import ask
from components.infra_validator.settings import InfraValidation
from pipeline.config import load_config
from pipeline.errors import RunError
from pipeline.local import processes, runner
from pipeline.outputs import latest_artifact_uri

SMALL = ["data.generated={users: 200, items: 300, interactions: 10000}", "retrieval.batch_size=256"]


def run(output, *overrides, config=None):
    return runner.run(config or load_config("demo", [*SMALL, *overrides]), str(output), Console(quiet=True))


def versions(report):
    return sorted(os.listdir(report["serving_model_dir"]))


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("gate")


@pytest.fixture(scope="module")
def honest(output):
    """Reports of a first run and of three retrainings."""
    seeds = [[f"{model}.seed={seed}" for model in ("retrieval", "ranking")] for seed in (1, 2, 3, 42)]
    return [run(output, *seed) for seed in seeds]


@pytest.fixture
def broken(monkeypatch):
    """Lets every process that is started from now on have one of `faults`."""

    def broken(fault):
        monkeypatch.setattr(processes, "start", lambda name, *what: start(name, faults.run_with, fault, *what))

    monkeypatch.syspath_prepend(Path(__file__).parent)  # For the processes; `tests` may be some other package there.
    faults = importlib.import_module("faults")
    start = processes.start
    return broken


@pytest.fixture
def refused(output, honest):
    """Runs that have to end without a push; returns why."""

    def refused(*overrides, config=None):
        before = versions(honest[-1])
        report = run(output, *overrides, config=config)
        assert not report["blessed"] and report["pushed_version"] is None
        assert versions(honest[-1]) == before
        assert json.loads((output / "report.json").read_text())["not_blessed_because"] == report["not_blessed_because"]
        return report["not_blessed_because"]

    return refused


def names(reasons):
    return {reason.split(":")[0] for reason in reasons}


def test_honest_retrainings_are_pushed_one_after_another(honest):
    assert [report["not_blessed_because"] for report in honest] == [[]] * 4
    assert versions(honest[-1]) == [report["pushed_version"] for report in honest]
    compared_with = [report["metrics"]["baselines"].get("live", {}).get("version") for report in honest]
    assert compared_with == [None, *(report["pushed_version"] for report in honest[:-1])]


def test_the_pushed_model_holds_warm_up_requests(honest):
    version = Path(honest[-1]["serving_model_dir"], honest[-1]["pushed_version"])
    requests = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
    assert len(list(requests)) == 5


def test_shuffled_labels(output, honest, refused, tmp_path):
    """Items and ratings dealt out anew among the rows, so that no user has any taste."""
    (source,) = (output / "data").iterdir()
    data = tmp_path / "data"
    shutil.copytree(source, data)
    rows = list(csv.reader((data / "ratings.csv").open()))
    order = np.random.default_rng(0).permutation(len(rows) - 1)
    with (data / "ratings.csv").open("w", newline="") as file:
        csv.writer(file).writerow(rows[0])
        for row, other in zip(rows[1:], order, strict=True):
            csv.writer(file).writerow([row[0], *rows[1 + other][1:3], row[3]])
    config = load_config("movielens-csv", ["retrieval.batch_size=256"], data__directory=str(data))
    assert {"rating_error", "better_than_popularity"} & names(refused(config=config))


def test_training_cut_to_nothing(refused):
    reasons = refused("retrieval.epochs=0", "ranking.epochs=0")
    assert {"better_than_popularity", "retrieval_kept"} <= names(reasons)


def test_timestamps_in_milliseconds_at_serving_time(refused, broken):
    broken("timestamps_in_milliseconds")
    assert "train_serve_parity" in names(refused("index.candidates=101"))


def test_a_vocabulary_swapped_after_training(output, refused):
    graph = latest_artifact_uri(str(output), "Transform", "transform_graph")
    vocabulary = Path(graph, "transform_fn", "assets", "item_id")
    original = vocabulary.read_bytes()
    try:
        vocabulary.write_bytes(b"\n".join(original.splitlines()[::-1]) + b"\n")
        reasons = refused("index.candidates=102")
    finally:
        vocabulary.write_bytes(original)
    assert "train_serve_parity" in names(reasons)


def test_an_index_over_stale_embeddings(refused, broken):
    broken("stale_index")
    assert "index_recall" in names(refused("index.candidates=103"))


def test_a_model_that_is_fine_overall_and_worse_on_the_tail(refused, broken):
    broken("worse_on_the_tail")
    reasons = refused("retrieval.seed=5")
    assert names(reasons) == {"tail_kept"}
    assert "for item=tail is " in reasons[0] and "of the live model" in reasons[0]


def test_a_model_that_recommends_what_was_seen(refused, broken):
    broken("nothing_seen")
    assert "nothing_seen" in names(refused("index.candidates=104"))


def test_a_model_whose_server_cannot_start(refused, broken):
    broken("damaged_after_blessing")
    (reason,) = refused("index.candidates=105")
    assert reason.startswith("canary: the model does not load: ")


@pytest.mark.parametrize(
    ("fault", "component", "change"),
    [
        ("killed_trainer", "Trainer.retrieval", "retrieval.seed=6"),
        ("killed_beam_worker", "Evaluator", "index.candidates=106"),
    ],
)
def test_a_killed_process_stops_the_run_and_the_next_one_goes_on(
    fault, component, change, output, honest, broken, monkeypatch
):
    broken(fault)
    with pytest.raises(RunError, match=rf"{component} failed: its process was killed by signal 9"):
        run(output, change)
    monkeypatch.undo()
    report = run(output, change)
    assert report["blessed"] and {"InteractionGen", "Transform"} <= set(report["cached"])


def test_the_canary_alone_notices_what_was_seen(honest):
    """Asked about a user whose history it is told wrongly, it finds items that it takes for seen."""
    report = honest[-1]
    model = os.path.join(report["serving_model_dir"], report["pushed_version"])
    example = tf.train.Example()
    example.features.feature["user_id"].bytes_list.value.append(b"1")
    example.features.feature["item_id"].bytes_list.value.append(b"1")
    example.features.feature["rating"].float_list.value.append(5.0)
    example.features.feature["timestamp"].int64_list.value.append(1_500_000_000)
    example.features.feature["history_item_id"].bytes_list.value.extend(str(n).encode() for n in range(1, 301))
    example.features.feature["history_timestamp"].int64_list.value.extend([1_400_000_000] * 300)
    found = ask(model, InfraValidation(batch=2), [example], {str(n) for n in range(1, 200)})
    assert any("serving_default for known users: item" in reason for reason in found["refused_because"])
