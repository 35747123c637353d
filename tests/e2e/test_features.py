"""Features that a configuration adds to purchases without ratings, in everything that follows from them."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import yaml
from tfx.utils import io_utils, path_utils

from components.evaluator.predictions import signature_names
from pipeline.outputs import latest_artifact_uri
from pipeline.steps import Step
from tests.e2e.conftest import recommender

BRANDS, CITIES, MATERIALS = ["Acme", "Bolt", "Cord"], ["Bern", "Oslo"], ["wood", "steel", "glass"]
ADDED = {
    "items": {
        "brand": {"kind": "category"},
        "price": {"kind": "number", "scale": "log"},
        "materials": {"kind": "tags", "separator": ";", "column": "made of"},
        "text": {"kind": "text", "column": "description", "min_count": 1},
    },
    "users": {"city": {"kind": "category"}, "since": {"kind": "number"}},
}


def write_shop(directory):
    """Purchases without ratings; customers of a city prefer a brand."""
    rng = np.random.default_rng(0)
    products = ["sku,name,brand,price,made of,description"]
    for sku in range(150):
        materials = ";".join(rng.choice(MATERIALS, 2, replace=False))
        products.append(
            f"p{sku},Thing {sku},{BRANDS[sku % 3]},{1 + sku % 40},{materials},a {rng.choice(MATERIALS)} thing"
        )
    customers = [f"c{n},{CITIES[n % 2]},{1990 + n % 30}" for n in range(100)]
    events = ["customer,sku,time"]
    for customer in range(100):
        liked = np.where(np.arange(150) % 3 == customer % 2, 4.0, 1.0)
        for number, sku in enumerate(rng.choice(150, 20, replace=False, p=liked / liked.sum())):
            events.append(f"c{customer},p{sku},{1_600_000_000 + 1000 * number + customer}")
    (directory / "products.csv").write_text("\n".join(products) + "\n")
    (directory / "customers.csv").write_text("\n".join(["customer,city,since", *customers]) + "\n")
    (directory / "events.csv").write_text("\n".join(events) + "\n")


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """Of a run with the features."""
    directory = tmp_path_factory.mktemp("shop")
    write_shop(directory)
    columns = {"user_id": "customer", "item_id": "sku", "timestamp": "time"}
    data = {
        "interactions": {"file": "events.csv", "columns": columns},
        "items": {"file": "products.csv", "columns": {"item_id": "sku", "title": "name"}, "features": ADDED["items"]},
        "users": {"file": "customers.csv", "columns": {"user_id": "customer"}, "features": ADDED["users"]},
    }
    (directory / "shop.yaml").write_text(yaml.safe_dump({"data": data, "evaluation": {"min_slice_queries": 50}}))
    few = ["--set=retrieval.epochs=1", "--set=ranking.epochs=1"]
    done = recommender("run", "--config", directory / "shop.yaml", "--output", directory / "run", *few)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return directory / "run"


@pytest.fixture(scope="module")
def transform(output):
    return tft.TFTransformOutput(latest_artifact_uri(str(output), Step.TRANSFORM, "transform_graph"))


NAMES = [*ADDED["items"], *ADDED["users"]]


def test_they_are_in_schema_and_transforms_output(output, transform):
    schema = io_utils.read_string_file(latest_artifact_uri(str(output), Step.SCHEMA_GEN, "schema") + "/schema.pbtxt")
    spec = transform.transformed_feature_spec()
    for name in NAMES:
        assert f'name: "{name}"' in schema
        assert name in spec
    assert sorted(transform.vocabulary_by_name("brand")) == [brand.encode() for brand in BRANDS]


def test_they_are_in_the_report(output):
    report = json.loads((output / "report.json").read_text())
    assert set(NAMES) <= report["data"]["features"].keys()
    slices = {name.partition("=")[0] for name in report["metrics"]["slices"]}
    assert {"brand", "materials", "city"} <= slices


@pytest.mark.parametrize("step", [Step.RETRIEVAL_TRAINER, Step.RANKING_TRAINER])
def test_changing_one_of_an_item_changes_its_vector(output, step):
    model = tf.saved_model.load(path_utils.serving_model_path(latest_artifact_uri(str(output), step, "model")))
    item = {
        "item_id": tf.constant([3], tf.int64),
        "title": tf.constant([[0]], tf.int64),
        "brand": tf.constant([0], tf.int64),
        "price": tf.constant([0.5]),
        "materials": tf.constant([[0, 1]], tf.int64),
        "text": tf.constant([[0]], tf.int64),
    }
    before = model.candidate(item).numpy()
    for name, value in {"brand": [1], "price": [1.5], "materials": [[2]], "text": [[1]]}.items():
        changed = model.candidate(item | {name: tf.constant(value, item[name].dtype)}).numpy()
        assert not np.allclose(before, changed), name


def test_changing_one_of_a_user_changes_the_query(output):
    uri = latest_artifact_uri(str(output), Step.RETRIEVAL_TRAINER, "model")
    model = tf.saved_model.load(path_utils.serving_model_path(uri))
    query = {
        "user_id": tf.constant([3], tf.int64),
        "timestamp": tf.constant([7], tf.int64),
        "history_item_id": tf.constant([[4]], tf.int64),
        "history_gap": tf.constant([[3.0]]),
        "city": tf.constant([0], tf.int64),
        "since": tf.constant([0.5]),
    }
    before = model.query(query).numpy()
    for name, value in {"city": [1], "since": [1.5]}.items():
        changed = model.query(query | {name: tf.constant(value, query[name].dtype)}).numpy()
        assert not np.allclose(before, changed), name


def test_data_without_ratings_has_no_rating_head_and_no_figure_of_one(output):
    report = json.loads((output / "report.json").read_text())
    assert report["metrics"]["ranking"] == {}
    assert not [reason for reason in report["not_blessed_because"] if "rating" in reason or "rmse" in reason]
    assert report["metrics"]["parity"]["train_serve_difference"] < 1e-5
    assert report["metrics"]["two_stage"]["ndcg_at_10_after"] > 0
    model = path_utils.serving_model_path(latest_artifact_uri(str(output), Step.RECOMMENDER_BUILDER, "model"))
    assert signature_names(model)["rank"][1] == {"score"}
    done = recommender("report", "--output", output)
    assert done.returncode == 0, done.stderr
    assert "RMSE" not in done.stdout and "liked items" in done.stdout
