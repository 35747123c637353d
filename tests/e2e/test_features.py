"""Features that a configuration adds to events without ratings, in everything that follows from them."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from tfx.utils import io_utils, path_utils

from components.evaluator.predictions import load
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import Step
from tests.e2e.conftest import recommender
from tests.e2e.shop import ADDED, BRANDS

NAMES = [name for features in ADDED.values() for name in features]


@pytest.fixture
def output(shop_run):
    """Of a run with the features."""
    return shop_run / "run"


@pytest.fixture
def transform(output):
    return tft.TFTransformOutput(latest_artifact_uri(str(output), Step.TRANSFORM, "transform_graph"))


@pytest.fixture
def report(output):
    return json.loads((output / "report.json").read_text())


def trained(output, step):
    return load(path_utils.serving_model_path(latest_artifact_uri(str(output), step, "model")))


def test_they_are_in_schema_and_transforms_output(output, transform):
    schemas = "".join(
        io_utils.read_string_file(latest_artifact_uri(str(output), step, "schema") + "/schema.pbtxt")
        for step in (Step.SCHEMA_GEN, Step.ITEM_SCHEMA_GEN)
    )
    spec = transform.transformed_feature_spec()
    for name in NAMES:
        assert schemas.count(f'name: "{name}"') == 1
        assert name in spec
    assert sorted(transform.vocabulary_by_name("brand")) == [brand.encode() for brand in BRANDS]
    assert transform.vocabulary_by_name("device") == [b"phone"], "what is missing is no value"


def test_they_are_in_the_report(report):
    assert set(NAMES) <= report["data"]["features"].keys()
    slices = {name.partition("=")[0] for name in report["metrics"]["slices"]}
    assert {"brand", "materials", "city", "device", "interests"} <= slices


@pytest.mark.parametrize("step", [Step.RETRIEVAL_TRAINER, Step.RANKING_TRAINER])
def test_changing_one_of_an_item_changes_its_vector(output, step):
    model = trained(output, step)
    item = {
        "item_id": tf.constant([3], tf.int64),
        "title": tf.constant([[0]], tf.int64),
        "brand": tf.constant([0], tf.int64),
        "price": tf.constant([0.5]),
        "image": tf.constant([[0.1, 0.2, 0.3, 0.4]]),
        "materials": tf.constant([[0, 1]], tf.int64),
        "text": tf.constant([[0]], tf.int64),
    }
    before = model.candidate(item).numpy()
    changed = {"brand": [1], "price": [1.5], "image": [[0.1, 0.2, 0.3, 0.9]], "materials": [[2]], "text": [[1]]}
    for name, value in changed.items():
        after = model.candidate(item | {name: tf.constant(value, item[name].dtype)}).numpy()
        assert not np.allclose(before, after), name


def test_changing_one_of_a_user_changes_the_query(output):
    model = trained(output, Step.RETRIEVAL_TRAINER)
    query = {
        "user_id": tf.constant([3], tf.int64),
        "moment": tf.constant([7], tf.int64),
        "history_item_id": tf.constant([[4]], tf.int64),
        "history_gap": tf.constant([[3.0]]),
        "city": tf.constant([0], tf.int64),
        "since": tf.constant([0.5]),
        "interests": tf.constant([[0, 1]], tf.int64),
        "device": tf.constant([0], tf.int64),
        "temperature": tf.constant([0.5]),
    }
    before = model.query(query).numpy()
    for name, value in {"city": [1], "since": [1.5], "interests": [[2]]}.items():
        after = model.query(query | {name: tf.constant(value, query[name].dtype)}).numpy()
        assert not np.allclose(before, after), name


@pytest.mark.parametrize("signature", ["recommend", "retrieve", "rank"])
def test_the_context_is_an_input_whose_value_changes_scores(output, signature):
    model = trained(output, Step.RECOMMENDER_BUILDER)
    query = {
        "user_id": tf.constant(["c3"]),
        "timestamp": tf.constant([1_600_020_000], tf.int64),
        "history_item_id": tf.constant([["p4"]]),
        "history_timestamp": tf.constant([[1_600_010_000]], tf.int64),
        "device": tf.constant([""]),
        "temperature": tf.constant([np.nan], tf.float32),
    }
    ask = model.signatures[signature]
    if signature == "rank":
        query["item_id"] = tf.constant([["p1", "p2"]])
    unknown = ask(**query)["score"].numpy()
    assert np.isfinite(unknown).all()
    for name, value in {"device": ["phone"], "temperature": [3.0]}.items():
        assert not np.allclose(unknown, ask(**query | {name: tf.constant(value)})["score"].numpy()), name
    strange = ask(**query | {"device": tf.constant(["no such device"])})["score"].numpy()
    np.testing.assert_array_equal(unknown, strange, "a value that training did not know is unknown")


def test_events_have_a_preference_head_and_no_rating_head(output, report):
    metrics = report["metrics"]
    assert metrics["ranking"].keys() == {"auc", "binary_accuracy"}
    assert not [reason for reason in report["not_blessed_because"] if "rating" in reason or "rmse" in reason]
    assert metrics["parity"]["train_serve_difference"] < 1e-5
    assert metrics["two_stage"]["ndcg_at_10_after"] > 0
    model = path_utils.serving_model_path(latest_artifact_uri(str(output), Step.RECOMMENDER_BUILDER, "model"))
    assert load(model).signatures["rank"].structured_outputs.keys() == {"score", "positive_probability"}
    assert (
        "an event of a kind that is not named in events: 600 rows of interactions do not count and were left out"
        in (report["notes"])
    )
    done = recommender("report", "--output", output)
    assert done.returncode == 0, done.stderr
    assert "RMSE" not in done.stdout and "AUC" in done.stdout
