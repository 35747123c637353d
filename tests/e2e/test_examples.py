"""The examples as their READMEs say, on the samples beside them."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tfx.utils import path_utils

from components.evaluator.predictions import load
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import Step
from tests.e2e.conftest import ROOT, recommender_here

EXAMPLES = {"complete-journey": "groceries", "online-retail": "gifts", "movietweetings": "tweets"}


@pytest.fixture(scope="module", params=EXAMPLES)
def run(request, tmp_path_factory):
    """An example's name, output directory and report."""
    directory = ROOT / "examples" / request.param
    output = tmp_path_factory.mktemp(request.param)
    config = directory / f"{EXAMPLES[request.param]}.yaml"
    few = ["--set=retrieval.epochs=1", "--set=ranking.epochs=1"]
    done = recommender_here("run", "--config", config, "--data", directory / "sample", "--output", output, *few)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return request.param, output, json.loads((output / "report.json").read_text())


def test_they_run_to_a_verdict_whose_figures_follow_from_the_data(run):
    name, _, report = run
    metrics = report["metrics"]
    assert ("own_history" in metrics["baselines"]) == (name != "movietweetings")
    assert ("rmse" in metrics["ranking"]) == (name == "movietweetings")
    assert {"popularity", "recent_popularity"} <= metrics["baselines"].keys()
    assert metrics["parity"]["train_serve_difference"] < 1e-5
    assert metrics["retrieval"]["filtered_top_100_categorical_accuracy"] > 0.5, "most of so few items"
    assert report["dataset"]["interactions"] > 400
    assert not [reason for reason in report["not_blessed_because"] if "seen" in reason or "scale" in reason]


def test_rows_that_do_not_count_are_left_out_and_said(run):
    name, _, report = run
    said = [note for note in report["notes"] if "left out" in note]
    if name == "online-retail":
        assert said == [
            "Quantity is not above 0: 36 rows of interactions do not count and were left out",
            "no user_id: 144 rows of interactions do not count and were left out",
        ]
    else:
        assert said == []


def test_a_second_stage_that_counts_nothing_is_said(run):
    _, _, report = run
    joining, two_stage = report["metrics"]["joining"], report["metrics"]["two_stage"]
    counts_nothing = joining["choice"] == joining["preference"] == 0
    assert any("leaves the first one's order" in note for note in report["notes"]) == counts_nothing
    assert not counts_nothing or two_stage["gain"] == 1


def test_what_is_served_knows_every_interaction_and_filters_only_where_items_do_not_repeat(run):
    name, output, report = run
    model = load(path_utils.serving_model_path(latest_artifact_uri(str(output), Step.RECOMMENDER_BUILDER, "model")))
    user = {"complete-journey": "1", "online-retail": "12000", "movietweetings": "1"}[name]
    answer = model.signatures["serving_default"](user_id=tf.constant([user]))
    recommended = {item.decode() for item in answer["item_id"].numpy()[0]}
    if name == "online-retail":
        others = {"POST", "M", "C2", "DOT", "BANK CHARGES"}
        assert report["metrics"]["index"]["never"] == 5 and not recommended & others
        assert "5 items are never recommended, and eval rows about them are not asked" in report["notes"]
    if name == "movietweetings":
        text = (ROOT / "examples" / name / "sample" / "ratings.dat").read_text()
        had = {line.split("::")[1] for line in text.splitlines() if line.startswith("1::")}
        assert len(had) == 12 and not recommended & had
    assert len(recommended) == 10 and np.isfinite(answer["score"].numpy()).all()
