"""What a servable is asked, and what comes of its answers."""

import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma

from components.evaluator import outputs as o
from components.evaluator import predictions, slices
from components.evaluator.baselines import Ranks
from components.evaluator.predictions import can_be_asked
from components.evaluator.shards import Shard
from components.recommender_builder.recommender import query_specs
from models.features.feature_set import FeatureSet, Histories
from models.features.kinds import Category
from tests.models.conftest import write_timelines

NAN, INF = np.nan, np.inf


def test_wide_rows_come_in_small_batches(monkeypatch):
    monkeypatch.setattr(predictions, "_BATCH", 8)
    monkeypatch.setattr(predictions, "_CELLS", 100)
    widths = np.array([1] * 10 + [30] * 4 + [200] * 2 + [1] * 2)
    batches = list(predictions.batches(widths, items=10))
    assert [widths[batch].tolist() for batch in batches] == [[1] * 8, [1] * 4, [30] * 3, [30], [200], [200]]
    assert sorted(np.concatenate(batches)) == list(range(18))
    monkeypatch.setattr(predictions, "_SCORES", 50)
    assert [len(batch) for batch in predictions.batches(widths[:12], items=10)] == [5, 5, 2]
    assert [len(batch) for batch in predictions.batches(widths[:2], items=100)] == [1, 1], "never none"


TRAIN = [{"user_id": "ann", "rows": [("a", 1_000, 5.0)]}]
EVAL = [
    {"user_id": "ann", "rows": [("b", 2_000, 4.0), ("c", 3_000, 1.0), ("b", 4_000, 3.5)]},
    {"user_id": "bob", "rows": [("d", 5_000, 5.0)]},
]


def save_servable(directory, features, missing=None):
    """A servable that gives everybody the same lists; its catalogue has an item z that is no longer there."""

    def measure(query, item_id):
        lists = {"retrieved": [0, 1, 2, 4], "recommended": [1, 3]}  # c, b, z and nothing; b, a.
        scores = {"retrieved_score": [3.0, 2.0, 1.0, -9.0], "recommended_score": [2.0, 1.0]}
        found = {name: tf.repeat([of], tf.size(query["user_id"]), 0) for name, of in (lists | scores).items()}
        rating = tf.where(item_id == "b", 4.5, 2.0)
        return found | {"predicted_rating": rating, "positive_probability": tf.fill(tf.shape(item_id), 0.25)}

    def answer(**query):
        return {"score": tf.zeros_like(query["timestamp"])}

    query = query_specs(features)
    lists = {"item_id": tf.TensorSpec([None, None], tf.string, "item_id")}
    module = tf.Module()
    rows = [tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64)]
    parts = {
        "ids": tf.Variable(["c", "b", "z", "a", ""]),
        "assume": tf.function(lambda user_id, item_id, timestamp: None, input_signature=rows),
        "measure": tf.function(measure, input_signature=[query, tf.TensorSpec([None], tf.string)]),
    }
    for name in parts.keys() - {missing}:
        setattr(module, name, parts[name])
    specs = {"recommend": query, "rank": query | lists}
    signatures = {name: tf.function(answer).get_concrete_function(**of) for name, of in specs.items()}
    tf.saved_model.save(module, str(directory), signatures=signatures)


def test_predictions_of_a_shard_are_its_rows_with_all_that_is_measured(tmp_path):
    features = FeatureSet(positive=4.0, histories=Histories(length=2))
    for name, timelines in (("train.gz", TRAIN), ("eval.gz", EVAL)):
        write_timelines(tmp_path / name, timelines, features)
    save_servable(tmp_path / "model", features)
    ids = np.array([b"a", b"b", b"c", b"d"])
    items = slices.Items(ids, np.array([4, 1, 0, 0]), np.array([0, 1, 1, 1]), [("item=head",), ("item=tail",)])
    places = np.arange(4)
    ranks = Ranks(places + 1.0, places + 2.0, places + 3.0, None)
    shard = Shard(str(tmp_path / "train.gz"), str(tmp_path / "eval.gz"), places, ranks)
    predict = predictions.Predict({"": str(tmp_path / "model")}, features, {}, items)
    predict.setup()
    (found,) = predict.process(shard)
    # In the order of how much their users have in train: Bob's first.
    given = found[tfma.PREDICTIONS_KEY]
    expected = {
        o.UNFILTERED: [4, 1, 2, 3],
        o.POPULARITY: [5, 2, 3, 4],
        o.RECENT_POPULARITY: [6, 3, 4, 5],
        o.RETRIEVAL: [INF, 2, 1, 2],
        o.BEFORE: [INF, 2, NAN, NAN],
        o.AFTER: [INF, 1, NAN, NAN],
        o.MOVED: [0, 1 - 1 / np.log2(3), NAN, NAN],
        o.RATING: [2, 4.5, 2, 4.5],
        o.PREFERENCE: [0.25] * 4,
        o.AVERAGE_POPULARITY: [2.5] * 4,
        o.SEEN_SHARE: [0, 0.5, 0.5, 0.5],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(np.ravel(given[name]), values, name)
    np.testing.assert_array_equal(given[o.PER_USER], [[INF, NAN], [2, 1], [NAN, NAN], [NAN, NAN]])
    assert given[o.RECOMMENDED].tolist() == [[1, 0]] * 4
    assert given.keys() == {*expected, o.PER_USER, o.RECOMMENDED}
    labels = found[tfma.LABELS_KEY]
    assert labels[o.RATING].tolist() == [5, 4, 1, 3.5] and labels[o.PREFERENCE].tolist() == [1, 1, 0, 0]
    assert found[o.SLICES] == [["user=cold", "history=none", "item=tail"]] + 3 * [
        ["user=warm", "history=short", "item=tail"]
    ]


def test_a_servable_can_be_asked_as_another_with_the_same_inputs_outputs_and_what_is_measured(tmp_path):
    whole, context = FeatureSet(), FeatureSet(context={"place": Category()})
    for name, of, missing in (
        ("a", whole, None),
        ("b", whole, None),
        ("context", context, None),
        ("older", whole, "ids"),
    ):
        save_servable(tmp_path / name, of, missing)
    asked = {name: can_be_asked(str(tmp_path / name), str(tmp_path / "a")) for name in ("b", "context", "older")}
    assert asked == {"b": True, "context": False, "older": False}
