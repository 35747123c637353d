"""The benchmark commands from end to end, on small data."""

import json

import pytest

from tests.e2e.conftest import SMALL, recommender

KS = (1, 5, 10, 50, 100)


def test_quality_compares_all_models_on_the_same_queries(tmp_path):
    file = tmp_path / "figures.json"
    few = ["--set=retrieval.epochs=2", "--set=ranking.epochs=1"]
    done = recommender("benchmark", "quality", "--seeds", 1, "--json", file, "--output", tmp_path / "run", *SMALL, *few)
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


def test_serving_measures_the_server_and_the_index(small_run, tmp_path):
    file = tmp_path / "figures.json"
    models = small_run[0] / "serving_models" / "recommender"
    sizes = ["--seconds", 0.3, "--soak", 200, "--candidates", "500,21000"]
    done = recommender("benchmark", "serving", "--model-dir", models, "--json", file, *sizes)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert found["mean_batch"] > 1, "requests of concurrent clients share batches"
    assert found["memory"]["requests"] == 200
    kinds = {size: index["kind"] for size, index in found["index"].items()}
    assert kinds == {"500": "scann_brute_force", "21000": "scann_hashed"}
    assert all(index["recall_at_100"] > 0.9 for index in found["index"].values())
    assert "gRPC at 32 clients ÷ in-process" in done.stdout


def test_serving_without_a_model_says_what_to_do(tmp_path):
    done = recommender("benchmark", "serving", "--model-dir", tmp_path)
    assert done.returncode == 1
    assert f"error: {tmp_path}: no version of a model. Run the pipeline first" in done.stderr


def test_index_compares_tuned_searches_on_the_same_vectors(tmp_path):
    file = tmp_path / "figures.json"
    done = recommender("benchmark", "index", "--candidates", 21_000, "--dimensions", 16, "--json", file)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert list(found["indexes"]) == ["exact, servable", "ScaNN, servable", "ScaNN, library", "FAISS", "hnswlib"]
    assert found["indexes"]["exact, servable"]["recall_at_100"] == 1.0
    for figures in found["indexes"].values():
        assert figures["recall_at_100"] > 0.96 and figures["milliseconds"] > 0
    assert len(found["ratios"]) == 2 and "at least 20" in done.stdout


def test_training_compares_both_loops_on_the_same_examples(tmp_path):
    file = tmp_path / "figures.json"
    more = ["--epochs", 2, "--steps", 1, "--json", file, "--output", tmp_path / "run"]
    done = recommender("benchmark", "training", *more, *SMALL)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    assert found["items"] == 300
    ours, tutorial = found["examples_per_second"]["ours"], found["examples_per_second"]["TFRS tutorial"]
    (ratio,) = found["ratios"].values()
    assert abs(ratio - ours / tutorial) < 1e-6 and tutorial > 0


def test_pipeline_tells_seconds_and_memory_of_every_component(tmp_path):
    file = tmp_path / "figures.json"
    more = ["--interactions", 2000, "--items", 400, "--json", file, "--output", tmp_path]
    few = ["--set=retrieval.batch_size=64"]
    done = recommender("benchmark", "pipeline", *more, *few)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = json.loads(file.read_text())
    again = recommender("benchmark", "pipeline", *more, *few)
    assert again.stdout.count("Measured before") == 2, "nothing runs twice"
    assert json.loads(file.read_text()) == found
    run, two = found["runs"]["2000"], found["two_workers"]
    assert run["interactions"] == two["interactions"] and run["interactions"] > 1000
    assert set(run["seconds"]) == set(two["seconds"]) <= set(run["peaks"])
    assert run["peaks"]["Transform"] > 2**27, "more than an eighth of a GiB, with TensorFlow"
    assert max(run["seconds"].values()) < run["total"]
    assert found["ratios"]["time growth ÷ data growth"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pipeline", "--interactions", ""], "--interactions : expected numbers, as in 10000,100000"),
        (["pipeline", "--interactions", "1000,-5"], "--interactions 1000,-5: expected numbers"),
        (["index", "--dimensions", "7"], "--dimensions 7: expected an even number"),
    ],
)
def test_wrong_sizes_are_one_error(arguments, message):
    done = recommender("benchmark", *arguments)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {message}")
