"""What the trainers share."""

import json

import numpy as np
import pytest
import tensorflow as tf

from models import training
from models.errors import UserError
from models.queries import model_batch
from models.ranking import RankingModel
from models.retrieval import RetrievalModel
from models.settings import Ranking, Retrieval, Training


def test_train_rows_are_counted_and_summarised(data, shop):
    assert len(data.train) == 6
    assert data.item_counts.tolist() == [3, 2, 1, 0]
    assert data.ratings == (2.0, 5.0, pytest.approx(22 / 6))
    assert data.positive_probability == 0.5
    assert shop.ratings is None and shop.positive_probability == 0.25


def test_the_towers_take_lists_of_any_length_and_vectors_of_theirs(data):
    query = {name: (spec.shape.as_list(), spec.dtype) for name, spec in data.query_spec().items()}
    assert list(query) == data.features.query_names()
    assert query["user_id"] == ([None], tf.int64) and query["age"] == ([None], tf.float32)
    assert query["clubs"] == query["history_item_id"] == ([None, None], tf.int64)
    assert query["history_gap"] == ([None, None], tf.float32)
    candidate = {name: spec.shape.as_list() for name, spec in data.candidate_spec().items()}
    lists = {"title": [None, None], "tags": [None, None], "image": [None, 2]}
    assert candidate == lists | {"item_id": [None], "price": [None]}


@pytest.mark.parametrize(
    ("size", "rows", "expected"),
    [(64, 10, 10), (64, 1000, 64), (512, 5120, 512), (512, 5119, 256), (512, 700, 64), (512, 40, 32), (70, 300, 35)],
)
def test_a_small_data_set_has_smaller_batches(size, rows, expected):
    assert training.fitting_batch_size(Training(batch_size=size), rows) == expected


@pytest.mark.parametrize(
    "rows, epochs, expected",
    [(0, 6, 6), (80_000, 6, 6), (1_250_000, 6, 6), (2_500_000, 6, 3), (5_000_000, 6, 1), (10**9, 6, 1), (10**9, 0, 0)],
)
def test_a_large_data_set_has_fewer_epochs(rows, epochs, expected):
    assert training.fitting_epochs(Training(epochs=epochs, most_rows=7_500_000), rows) == expected


@pytest.mark.parametrize("of", ["data", "shop"])
@pytest.mark.parametrize("kind", ["retrieval", "ranking"])
def test_training_learns_the_rows(of, tmp_path, kind, request):
    data = request.getfixturevalue(of)
    if kind == "ranking":
        weights = {"choice_loss_weight": 0} if of == "data" else {}
        config = Ranking(epochs=80, batch_size=6, weight_decay=0, dropout=0, learning_rate=0.02, **weights)
        model = RankingModel(config, data)
    else:
        config = Retrieval(epochs=80, batch_size=6, weight_decay=0, user_dropout=0, uniform_negatives=2)
        model = RetrievalModel(config, data)
    batch = model_batch(data.queries.at(tf.range(len(data.train), dtype=tf.int64)))
    before = float(model.compute_loss(batch))
    fitted = training.fit(model, data, config, str(tmp_path))
    assert float(model.compute_loss(batch)) < before / 2
    assert fitted["train_seconds"] > 0
    assert len(fitted["losses"]) == 80 and fitted["losses"][-1] < fitted["losses"][0]
    assert list(tmp_path.rglob("events.out.tfevents.*"))


@pytest.mark.parametrize("at_once", [4, 100])
def test_steps_that_are_run_at_once_are_the_same_as_one_after_the_other(at_once, data, tmp_path, monkeypatch):
    config = Ranking(epochs=2, batch_size=2, dropout=0, user_dropout=0, item_dropout=0)
    found = []
    for rows in (1, at_once):  # Of 6 in an epoch; 4 are two steps, and one remains.
        monkeypatch.setattr(training, "_ROWS_AT_ONCE", rows)
        tf.keras.utils.set_random_seed(0)
        model = RankingModel(config, data)
        losses = training.fit(model, data, config, str(tmp_path))["losses"]
        found.append((losses, int(model.optimizer.iterations), [weights.numpy() for weights in model.variables]))
    (losses, steps, weights), (of_several, steps_of_several, weights_of_several) = found
    assert steps == steps_of_several == 6
    np.testing.assert_allclose(of_several, losses, rtol=1e-6)
    for one, other in zip(weights, weights_of_several, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-7)


def test_no_epoch_leaves_the_model_as_it_is(data, tmp_path):
    config = Ranking(epochs=0)
    model = RankingModel(config, data)
    before = [weights.numpy() for weights in model.variables]
    assert training.fit(model, data, config, str(tmp_path)) == {
        "train_seconds": 0,
        "losses": [],
        "epoch_seconds": [],
    }
    for weights, expected in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(weights, expected)


def test_validation_is_written_beside_the_logs(tmp_path):
    training.write_validation({"rmse": float(np.float32(0.5))}, str(tmp_path))
    assert json.loads((tmp_path / training.VALIDATION_FILE).read_text()) == {"rmse": 0.5}


@pytest.mark.parametrize(
    ("jobs", "task", "expected"),
    [
        ([], (None, None), True),
        (["worker"], ("worker", 0), True),
        (["worker"], ("worker", 1), False),
        (["chief", "worker"], ("chief", 0), True),
        (["chief", "worker"], ("worker", 0), False),
    ],
)
def test_one_process_of_a_cluster_is_its_chief(jobs, task, expected):
    spec = tf.train.ClusterSpec({job: [f"{job}{n}:1" for n in range(2)] for job in jobs})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, task_type=task[0], task_id=task[1])
    assert training.is_chief(resolver) == expected


def test_a_training_that_diverges_is_stopped(data, tmp_path):
    config = Ranking(epochs=5, batch_size=4, weight_decay=0, learning_rate=1e30)
    with pytest.raises(UserError, match=r"the loss is (nan|inf) after epoch \d: lower learning_rate"):
        training.fit(RankingModel(config, data), data, config, str(tmp_path))
