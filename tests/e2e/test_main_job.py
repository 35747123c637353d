"""The main job as a user runs it: report, console, page and logs of the shared run."""

import json
import os
import re
import shutil
from pathlib import Path

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
]


def report(output):
    return json.loads((output / "report.json").read_text())


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
    assert "[ 1/17]" in printed and "[17/17] Pusher" in printed
    assert "epoch 6 of 6" in printed
    assert "filtered top-100 accuracy" in printed
    assert "Blessed" in printed
    assert "absl" not in printed and "Warning" not in printed
    assert list((output / "logs").iterdir())


def test_report_prints_the_same_summary_and_writes_a_page_that_stands_alone(small_run, tmp_path):
    output, printed = small_run
    shutil.copy(output / "report.json", tmp_path)
    done = recommender("report", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    summary, _, path = done.stdout.rpartition("Wrote ")
    assert summary.strip() in printed
    page = Path(path.strip()).read_text()
    found = report(output)
    assert not re.findall(r"(?:src|href)=\"(?!#)", page), "nothing is fetched"
    assert page.count("<svg") >= 8, "three features to slice by, two trainings, index, ratings, times, seconds"
    assert f"Blessed and pushed as version {found['pushed_version']}" in page
    assert f"{found['metrics']['retrieval']['filtered_ndcg_at_10']:.4g}" in page
    assert len(found["samples"]) == 10
    for sample in found["samples"]:
        assert f"User {sample['user_id']}" in page and len(sample["recommended"]) == 10


def test_tensorboard_logs_are_written(small_run):
    output, _ = small_run
    for trainer in ("Trainer.retrieval", "Trainer.ranking"):
        assert list((output / "pipeline" / trainer / "model_run").rglob("events.out.tfevents.*"))
