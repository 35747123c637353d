"""The main job as a user runs it: report, console, page and logs of the shared run."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from pipeline.outputs import Outputs, connection
from pipeline.steps import Step
from tests.e2e.conftest import recommender

COMPONENTS = [
    "ItemGen",
    "ImportSchemaGen",
    "InteractionGen",
    "StatisticsGen",
    "ExampleValidator",
    "ImportSchemaGen.items",
    "StatisticsGen.items",
    "ExampleValidator.items",
    "LiveModel",
    "DriftValidator",
    "Transform",
    "Trainer.ranking",
    "Trainer.retrieval",
    "RecommenderBuilder",
    "Evaluator",
    "InfraValidator",
    "Pusher",
    "Reporter",
]


def report(output):
    return json.loads((output / "report.json").read_text())


def shown_by_kfp(output):
    """Of the newest run: the figures by name, and the page."""
    outputs = Outputs(connection(str(output)))
    metrics, page = (outputs.artifact(Step.REPORTER, key) for key in ("metrics", "report"))
    values = metrics.mlmd_artifact.custom_properties.items()
    return {name: getattr(value, value.WhichOneof("value")) for name, value in values}, Path(page.uri).read_text()


def test_the_report_is_complete_and_the_model_is_better_than_popularity(small_run):
    output, _ = small_run
    found = report(output)
    assert found["dataset"]["name"] == "demo"
    assert found["dataset"]["users"] == 200
    assert found["dataset"]["items"] == 300
    assert found["dataset"]["rejected_rows"] == 0
    assert found["split"] == "per_user_chronological"
    metrics = found["metrics"]
    for k in (1, 5, 10, 50, 100):
        assert 0 <= metrics["retrieval"][f"top_{k}_categorical_accuracy"] <= 1
        assert 0 <= metrics["retrieval"][f"filtered_top_{k}_categorical_accuracy"] <= 1
    popularity = metrics["baselines"]["popularity"]
    for name in ("filtered_top_100_categorical_accuracy", "filtered_ndcg_at_10", "top_100_categorical_accuracy"):
        assert metrics["retrieval"][name] > popularity[name]
    assert metrics["retrieval"]["filtered_recall_at_10_per_user"] > 0
    assert metrics["retrieval"]["filtered_ndcg_at_10_per_user"] > 0
    assert metrics["ranking"]["rmse"] < 1
    assert metrics["ranking"]["mae"] < metrics["ranking"]["rmse"]
    assert metrics["ranking"]["auc"] > 0.5
    assert metrics["two_stage"]["ndcg_at_10_after"] > 0
    assert set(metrics["joining"]) == {"choice", "preference", "queries", "gain"} and metrics["joining"]["queries"] > 50
    assert (metrics["index"]["kind"], metrics["index"]["recall_at_100"]) == ("scann_brute_force", 1)
    assert metrics["index"]["speed_up"] > 0
    assert metrics["parity"]["train_serve_difference"] < 1e-5
    assert metrics["recommended"]["seen_share"] == 0
    assert 0 < metrics["recommended"]["catalogue_coverage"] <= 1
    assert set(metrics["serving"]["milliseconds"]) == {"REST", "gRPC"}
    assert found["blessed"] and found["not_blessed_because"] == []
    assert os.listdir(found["serving_model_dir"]) == [found["pushed_version"]]
    assert sorted(found["seconds"]["components"]) == sorted(COMPONENTS)


def test_the_console_shows_progress_and_summary_and_none_of_tfx_noise(small_run):
    output, printed = small_run
    assert "generated, not real" in printed
    assert "[ 1/18]" in printed and "[18/18] Reporter" in printed
    assert "epoch 6 of 6" in printed
    assert "filtered top-100 accuracy" in printed
    assert "Blessed" in printed
    assert f"Next: recommender explore --model-dir {report(output)['serving_model_dir']}" in printed
    assert "absl" not in printed and "Warning" not in printed
    assert list((output / "logs").iterdir())


def test_report_prints_the_same_summary_and_writes_a_page_that_stands_alone(small_run, tmp_path, monkeypatch):
    output, printed = small_run
    shutil.copy(output / "report.json", tmp_path)
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" >"$0.opened"\n')
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(browser))
    done = recommender("report", "--output", tmp_path, "--open")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "browser.opened").read_text() == f"file://{tmp_path}/report.html\n"
    summary, _, path = done.stdout.rpartition("Wrote ")
    assert summary.strip() in printed
    page = Path(path.strip()).read_text()
    found = report(output)
    assert not re.findall(r"(?:src|href)=\"(?!#)", page), "nothing is fetched"
    assert page.count("<svg") >= 8, "three features to slice by, two trainings, index, ratings, times, seconds"
    assert f"Blessed and pushed as version {found['pushed_version']}" in page
    assert f"{found['metrics']['retrieval']['filtered_ndcg_at_10']:.4g}" in page
    share = found["metrics"]["retrieval"]["filtered_top_100_categorical_accuracy"]
    assert f"<strong>{100 * share:.0f} of 100</strong> lists of 100 items hold what the person chose next" in page
    assert len(found["samples"]) == 10
    for sample in found["samples"]:
        assert f"User {sample['user_id']}" in page and len(sample["recommended"]) == 10


def test_the_artifacts_that_kfps_page_shows(small_run):
    output, _ = small_run
    metrics, page = shown_by_kfp(output)
    found = report(output)
    retrieval, baselines = found["metrics"]["retrieval"], found["metrics"]["baselines"]
    top_100 = "filtered_top_100_categorical_accuracy"
    assert (metrics["blessed"], metrics["pushed_version"]) == (1.0, found["pushed_version"])
    expected = {
        "top_100": retrieval[top_100],
        "ndcg_at_10": retrieval["filtered_ndcg_at_10"],
        "baseline_top_100": max(one[top_100] for one in baselines.values()),
        "ndcg_at_10_after": found["metrics"]["two_stage"]["ndcg_at_10_after"],
        "rmse": found["metrics"]["ranking"]["rmse"],
    }
    # SQLite's MLMD keeps six digits.
    assert {name: metrics[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert "refused_because" not in metrics and "live_top_100" not in metrics, "nothing refused it, and none was live"
    assert page.startswith("<!doctype html>") and not re.findall(r"(?:src|href)=\"(?!#)", page), "nothing is fetched"
    assert f"Blessed and pushed as version {found['pushed_version']}" in page


def test_tensorboard_logs_are_written(small_run):
    output, _ = small_run
    for trainer in ("Trainer.retrieval", "Trainer.ranking"):
        assert list((output / "pipeline" / trainer / "model_run").rglob("events.out.tfevents.*"))
