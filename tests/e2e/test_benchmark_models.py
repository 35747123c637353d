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
    models = "ours,popularity,recent_popularity,item_to_item,ease,ials,bpr,tfrs_tutorial"
    plot = tmp_path / "trade.svg"
    more = ["--models", models, "--seeds", 1, "--json", file, "--output", output, "--trade", plot]
    done = recommender("benchmark", "quality", *more, "--split", "global_temporal", *DATA, *few)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert (found["data"], found["split"], found["seeds"]) == ("demo", "global_temporal", 1)
    assert [*found["histories"]] == ["frozen", "live"]
    for history, of_models in found["histories"].items():
        assert {*of_models} == {*models.split(","), "ours, ranked"}
        for name, figures in of_models.items():
            for k in (1, 5, 10) if name == "ours, ranked" else KS:
                assert 0 <= figures[f"top_{k}"] <= 1
            low, high = figures["intervals"]["ndcg_at_10"]
            assert 0 <= low <= figures["ndcg_at_10"] <= high <= 1
            assert {"warm", "cold"} <= {*figures["groups"]} and 0 < figures["beyond"]["coverage"] <= 1
            assert found["seconds"].keys() >= {name} - {"ours, ranked"}, history
    assert {*found["chosen"]["ease"]["asked"]["live"]} <= {"tau", "c"} and found["left_out"] == {}
    ours = found["pipeline"]
    gain = ours["two_stage_ndcg_at_10_after"] / ours["two_stage_ndcg_at_10_before"]
    assert abs(ours["two_stage_gain"] - gain) < 1e-6 and ours["rmse"] > 0
    first, *_, last = found["trade"]
    assert (first["index.diversity"], last["index.diversity"]) == (0, 0.9)
    assert first["ndcg_at_10"] == found["histories"]["frozen"]["ours, ranked"]["ndcg_at_10"]
    assert first["diversity"] < last["diversity"]
    assert "<svg" in plot.read_text()


def test_training_compares_both_loops_on_the_same_examples(output, tmp_path):
    file = tmp_path / "figures.json"
    more = ["--epochs", 2, "--steps", 1, "--json", file, "--output", output]
    done = recommender("benchmark", "training", *more, *DATA)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert found["items"] == 300
    ours, tutorial = found["examples_per_second"]["ours"], found["examples_per_second"]["TFRS tutorial"]
    (ratio,) = found["ratios"].values()
    assert abs(ratio - ours / tutorial) < 1e-6 and tutorial > 0 and found["examples_per_second"]["ours, ranking"] > 0
    assert 0 < found["gflops"]["logits"] < 2 * found["gflops"]["large product"]
