"""Catalogues of a few items go through the whole pipeline, and what is made of them is asked like any other."""

import csv
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.e2e.conftest import recommender_here

CONFIG = """
data:
  interactions: {file: events.csv, columns: {user_id: customer, item_id: sku, timestamp: time, rating: stars}}
  items: {file: products.csv, columns: {item_id: sku, title: name}}
retrieval: {epochs: 1}
ranking: {epochs: 1}
infra_validator: {batch: 20, max_milliseconds: 60000}
"""
# So that the candidate is served, whatever one epoch has taught it.
LET_PASS = [f"--set=evaluation.thresholds.{name}=null" for name in ("rating_error", "ranking_helps")]


def write_table(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def run(directory, items, users, seen, time, *options):
    """Runs the pipeline on users of whom user u had the first `seen(u)` items in an order of u's own, at `time(n)`."""
    rng = np.random.default_rng(0)
    events = [
        [f"u{user}", f"p{item}", 1 + item % 5, time(place)]
        for user in range(users)
        for place, item in enumerate(rng.permutation(items)[: seen(user)])
    ]
    write_table(directory / "events.csv", ["customer", "sku", "stars", "time"], events)
    write_table(directory / "products.csv", ["sku", "name"], [[f"p{item}", f"Thing {item}"] for item in range(items)])
    (directory / "shop.yaml").write_text(CONFIG)
    done = recommender_here(
        "run", "--config", directory / "shop.yaml", "--output", directory / "out", *LET_PASS, *options
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done, json.loads((directory / "out" / "report.json").read_text())


def served(report):
    import scann  # noqa: F401

    model = tf.saved_model.load(f"{report['serving_model_dir']}/{report['pushed_version']}")

    def call(signature, **inputs):
        found = model.signatures[signature](**{name: tf.constant(values) for name, values in inputs.items()})
        return found["item_id"].numpy().astype(str).tolist()

    return call


def test_six_items_of_which_every_user_has_had_all(tmp_path):
    """With one item left, everything finds it: a model cannot be better than popularity, and need not be."""
    done, report = run(tmp_path, 6, 60, lambda user: 6, lambda place: 1_600_000_000 + 1000 * place)
    assert done.returncode == 0, done.stdout + done.stderr
    metrics = report["metrics"]
    assert metrics["retrieval"]["filtered_top_1_categorical_accuracy"] == 1
    assert metrics["baselines"]["popularity"]["filtered_top_1_categorical_accuracy"] == 1
    assert metrics["index"]["candidates"] == 6 and metrics["index"]["recall_at_100"] == 1
    notes = " ".join(report["notes"])
    assert "the gate compares lists of 1, as 6 items have train interactions" in notes
    assert "leaves the first one's order as it is: there are too few train rows to try it on" in notes
    call = served(report)
    known, unknown = call("serving_default", user_id=["u7", "nobody"])
    assert known == [""] * 6 and sorted(unknown) == [f"p{item}" for item in range(6)]
    (similar,) = call("similar", item_id=["p3"])
    assert sorted(similar) == ["", "p0", "p1", "p2", "p4", "p5"]


@pytest.mark.parametrize("repeats", [False, True])
def test_twelve_items_at_one_time_and_users_with_a_row_or_two(tmp_path, repeats):
    options = [f"--set=repeats={str(repeats).lower()}", "--set=evaluation.thresholds.better_than_popularity=null"]
    done, report = run(tmp_path, 12, 60, lambda user: 1 + user % 3, lambda place: 1, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    call = served(report)
    known, unknown = call("serving_default", user_id=["u2", "nobody"])
    assert len({*known} - {""}) == (10 if repeats else 9) and len({*unknown}) == 10
    bounds = re.findall(r"at least ([\d.]+)", " ".join(report["not_blessed_because"]))
    assert all(float(bound) <= 1 for bound in bounds)
