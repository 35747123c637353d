"""The benchmark commands about the models from end to end, on small data."""

import json

import pytest

from tests.e2e.conftest import SMALL, recommender

KS = (1, 5, 10, 50, 100)
# No model is good enough, so that no server is started on it.
DATA = [*SMALL, "--set=evaluation.thresholds.better_than_popularity.at_least=50"]


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Where both commands' runs go: what they have in common is made once."""
    return tmp_path_factory.mktemp("benchmarks")


def test_quality_compares_all_models_on_the_same_queries(output, tmp_path):
    file = tmp_path / "figures.json"
    few = ["--set=retrieval.epochs=2", "--set=ranking.epochs=1"]
    done = recommender("benchmark", "quality", "--seeds", 1, "--json", file, "--output", output, *DATA, *few)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert (found["data"], found["split"], found["seeds"]) == ("demo", "per_user_chronological", 1)
    assert list(found["models"]) == ["popularity", "ease", "ials", "bpr", "tfrs_tutorial", "ours"]
    for figures in found["models"].values():
        for k in KS:
            assert 0 <= figures[f"top_{k}_categorical_accuracy"] <= 1
            assert 0 <= figures[f"filtered_top_{k}_categorical_accuracy"] <= 1
        assert figures["filtered_ndcg_at_10"] > 0 and figures["train_seconds"] >= 0
        assert {"filtered_recall_at_10_per_user", "filtered_ndcg_at_10_per_user"} <= set(figures)
    ours = found["models"]["ours"]
    gain = ours["two_stage_ndcg_at_10_after"] / ours["two_stage_ndcg_at_10_before"]
    assert abs(ours["two_stage_gain"] - gain) < 1e-6 and ours["rmse"] > 0


def test_training_compares_both_loops_on_the_same_examples(output, tmp_path):
    file = tmp_path / "figures.json"
    more = ["--epochs", 2, "--steps", 1, "--json", file, "--output", output]
    done = recommender("benchmark", "training", *more, *DATA)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert found["items"] == 300
    ours, tutorial = found["examples_per_second"]["ours"], found["examples_per_second"]["TFRS tutorial"]
    (ratio,) = found["ratios"].values()
    assert abs(ratio - ours / tutorial) < 1e-6 and tutorial > 0
