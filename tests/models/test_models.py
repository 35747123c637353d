"""The models against a few lines of numpy."""

import copy

import numpy as np
import pytest
import tensorflow as tf

from models import ranking, retrieval
from models.features import names
from models.queries import in_order, model_batch
from models.ranking import RankingModel, RankingServable
from models.retrieval import RetrievalServable
from models.settings import Ranking
from tests.models.conftest import FEATURES, ranking_model, retrieval_model


def items_of(data, rows):
    return {name: tf.gather(values, rows["item_id"]) for name, values in data.item_table().items()}


def test_the_future_is_learnt_from_rows_that_hide_their_moment(data, rows):
    model = retrieval_model(data, uniform_negatives=0, query_dropout=0, moment_dropout=1 - 1e-7)
    got = float(model.compute_loss(rows, training=True))
    ids, moments = rows["item_id"].numpy(), rows["moment"].numpy()
    after = rows | {"moment": tf.constant([2] * len(ids), tf.int64)}
    logits = model.query_tower(after).numpy() @ model.candidate_tower(items_of(data, rows)).numpy().T
    logits += data.forecast.of_moments[np.minimum(moments, 1)][:, ids] - np.log(np.bincount(ids)[ids] / len(ids))
    logits[(ids[:, None] == ids) & ~np.eye(len(ids), dtype=bool)] = -np.inf
    assert got == pytest.approx(np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits)), rel=1e-4)


def test_a_row_that_forgets_loses_the_latest_part_of_its_history(shop):
    tower = retrieval_model(shop, history_cut=1 - 1e-7).query_tower
    history = tf.constant([[*range(100)]] * 200, tf.int64)
    got = tower.with_shorter_histories({"history_item_id": history})["history_item_id"].numpy()
    lost = (got < 0).sum(1)
    assert lost.min() < 3 and 27 < lost.max() <= 30
    assert all(
        (row[:many] == -1).all() and row[many:].tolist() == [*range(many, 100)]
        for row, many in zip(got, lost, strict=True)
    )


def query_of(rows):
    return {name: rows[name] for name in FEATURES.query_names()}


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("accidental_hits", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_retrieval_loss_is_the_corrected_softmax(data, rows, correction, accidental_hits, temperature):
    model = retrieval_model(
        data,
        uniform_negatives=0,
        temperature=temperature,
        sampling_bias_correction=correction,
        remove_accidental_hits=accidental_hits,
    )
    got = float(model.compute_loss(rows))
    own = model.candidate_tower(items_of(data, rows)).numpy()
    logits = model.query_tower(rows).numpy() @ own.T / temperature
    ids = rows["item_id"].numpy()
    if correction:
        logits = logits - np.log(np.bincount(ids)[ids] / len(ids))
    if accidental_hits:
        logits[(ids[:, None] == ids) & ~np.eye(len(ids), dtype=bool)] = -np.inf
    expected = np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits))
    assert got == pytest.approx(expected, rel=1e-4)


def test_uniform_negatives_enter_the_sampling_probability_as_a_mixture(data, rows):
    model = retrieval_model(data, uniform_negatives=6)
    probability = model._sampling_probability(tf.constant([0, 3, 0, 0, *[3] * 6])).numpy()
    share = np.array([3, 0]) / 6
    np.testing.assert_allclose(probability[:2], (4 * share + 6 / 4) / 10, rtol=1e-6)
    assert np.isfinite(float(model.compute_loss(rows, training=True)))


def test_a_rows_loss_counts_as_much_as_its_event_weighs(shop):
    batch = model_batch(shop.queries.at(tf.range(4, dtype=tf.int64)))
    config = Ranking(embedding_dim=4, layers=[8], dropout=0, negatives=3)
    for model in (retrieval_model(shop, uniform_negatives=0), RankingModel(config, shop)):

        def loss(weights, model=model):
            return float(model.compute_loss(batch | {"weight": tf.constant(weights)}))

        alone = [loss(4 * row) for row in np.eye(4, dtype=np.float32)]
        assert float(model.compute_loss(batch)) == pytest.approx(np.dot(alone, [1, 3, 1, 1]) / 6, rel=1e-5)
        unweighted = {name: values for name, values in batch.items() if name != "weight"}
        assert float(model.compute_loss(unweighted)) == pytest.approx(np.mean(alone), rel=1e-5)


def test_a_hidden_row_is_the_query_of_an_unknown_user(data, rows):
    model = retrieval_model(data, query_dropout=1 - 1e-7)
    got = model.query_tower(model.query_tower.with_unknown_queries(rows)).numpy()
    unknown_user = rows | {
        "user_id": tf.fill(tf.shape(rows["user_id"]), tf.constant(3, tf.int64)),  # Out of vocabulary.
        "age": tf.zeros_like(rows["age"]),
        "clubs": tf.fill(tf.shape(rows["clubs"]), tf.constant(names.PADDING, tf.int64)),
        "history_item_id": tf.fill(tf.shape(rows["history_item_id"]), tf.constant(names.PADDING, tf.int64)),
    }
    np.testing.assert_allclose(got, model.query_tower(unknown_user), rtol=1e-6)
    assert np.abs(got - model.query_tower(rows).numpy()).max() > 1e-3


def test_saved_towers_answer_as_before(data, rows, tmp_path):
    model = retrieval_model(data)
    servable = RetrievalServable(model, data, temperature=0.5)
    query = query_of(rows)
    tf.saved_model.save(servable, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    towers, after, more = np.split(loaded.query(query).numpy(), [-2, -1], axis=1)
    np.testing.assert_allclose(loaded.query(query), servable.query(query), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(towers, model.query_tower(rows) / 0.5, atol=1e-3)
    assert {variable.dtype for variable in loaded._weights} == {tf.float32, tf.float16}, "histories in half the width"
    assert after[:, 0].tolist() == (rows["moment"].numpy() == 2).tolist(), "only what comes after the train rows"
    first = {name: values[:1] for name, values in query.items()}
    np.testing.assert_allclose(loaded.query(first), loaded.query(query)[:1], rtol=1e-5, atol=1e-6)
    candidates, popular, by_more = np.split(loaded.candidate(data.item_table()).numpy(), [-2, -1], axis=1)
    assert not more.any() and not by_more.any(), "for the RecommenderBuilder"
    np.testing.assert_allclose(candidates, model.candidate_tower(data.item_table()), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(popular[:, 0], [*data.forecast.now, 0])


def test_retrieval_validation_counts_hits_by_item_id(data):
    model = retrieval_model(data)
    got = retrieval.validate(RetrievalServable(model, data, 1.0), data)
    (asked,) = in_order(data.eval, 10)
    candidates = model.candidate_tower(data.item_table()).numpy()[:-1]
    scores = model.query_tower(asked).numpy() @ candidates.T
    best = data.catalogue.ids[scores.argmax(1)]
    assert got["top_1_categorical_accuracy"] == pytest.approx(np.mean(best == asked["item_key"].numpy()))
    assert got["top_5_categorical_accuracy"] == got["top_100_categorical_accuracy"] == 1.0, "there are four items"


def test_ranking_loss_is_the_weighted_sum_of_its_three(data, rows):
    model = ranking_model(data, negatives=3, rating_loss_weight=1.0, preference_loss_weight=0.5, choice_loss_weight=0.3)
    vectors = model.candidate_vectors(items_of(data, rows)).numpy()
    count = len(vectors)
    others = (np.arange(count)[:, None] + np.arange(4)) % count
    found = model.score(query_of(rows), tf.constant(vectors[others]))
    squared = (found.rating[:, 0] - rows["rating"]).numpy() ** 2
    liked = 1 / (1 + np.exp(-found.preference[:, 0].numpy()))
    likely = np.where(rows["positive"].numpy() == 1, liked, 1 - liked)
    ids = rows["item_id"].numpy()[others]
    logits = found.choice.numpy() - np.log((np.bincount(ids[:, 0])[ids]) / count)
    logits[:, 1:][ids[:, 1:] == ids[:, :1]] = -np.inf
    choice = np.log(np.exp(logits).sum(1)) - logits[:, 0]
    expected = squared.mean() - 0.5 * np.log(likely).mean() + 0.3 * choice.mean()
    assert float(model.compute_loss(rows)) == pytest.approx(expected, rel=1e-4)


def test_products_are_the_same_whether_joined_for_training_or_by_a_matrix_for_each_query():
    layer = ranking.ProductLayers(known=2, dim=3, sizes=[4, 5], heads=2, dropout=0.0)
    random = np.random.default_rng(0)
    user, history = (random.normal(size=[6, 1, 3]).astype(np.float32) for _ in range(2))
    attended, item = (random.normal(size=[6, 7, 3]).astype(np.float32) for _ in range(2))
    kernel, bias, *dense = (weight.numpy() for weight in layer.weights)
    hidden = np.concatenate([user * item, history * item, attended * item, item], axis=2) @ kernel + bias
    wanted = np.maximum(np.maximum(hidden, 0) @ dense[0] + dense[1], 0) @ dense[2] + dense[3]
    for training in (True, False):
        found = layer([user, history], attended, item, training=training)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    of_one = layer([user, history], attended[:, :1], item[:, :1])
    np.testing.assert_allclose(of_one, wanted[:, :1], rtol=1e-5, atol=1e-6)


def test_ranking_scores_a_list_as_it_scores_each_candidate(data, rows, tmp_path):
    model = ranking_model(data)
    servable = RankingServable(model, data, model._config)
    query = query_of(rows)
    vectors = servable.candidate(data.item_table())
    lists = tf.tile(vectors[tf.newaxis], [6, 1, 1])
    whole = servable.score(query, lists)
    assert whole.keys() == {"choice", "preference", "predicted_rating", "positive_probability"}
    for i in range(len(vectors)):
        one = servable.score(query, lists[:, i : i + 1])
        for name, values in whole.items():
            np.testing.assert_allclose(values[:, i], one[name][:, 0], rtol=1e-4, atol=1e-6)
    of_model = model.predict_scores(rows, lists)
    np.testing.assert_allclose(whole["choice"], of_model.choice, atol=1e-3)
    np.testing.assert_allclose(whole["predicted_rating"], of_model.rating, atol=1e-3)
    tf.saved_model.save(servable, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    assert [variable.dtype for variable in loaded._weights].count(tf.float16) == 2, "history, and what is attended to"
    for name, values in loaded.score(query, lists).items():
        np.testing.assert_allclose(values, whole[name], rtol=1e-5, atol=1e-6)
    assert np.all((whole["predicted_rating"].numpy() >= 2) & (whole["predicted_rating"].numpy() <= 5))


def test_without_ratings_and_positives_the_choice_is_all_that_is_learnt(shop, tmp_path):
    plain = copy.copy(shop)
    plain.positive_probability = None
    model = ranking_model(plain, negatives=3, choice_loss_weight=0.5)
    batch = model_batch(plain.queries.at(tf.range(4, dtype=tf.int64)))
    own = model.candidate_vectors({"item_id": batch["item_id"]})
    others = (np.arange(4)[:, None] + np.arange(4)) % 4
    choice = model.score(batch, tf.gather(own, others)).choice
    columns = tf.gather(batch["item_id"], others)
    loss = model._choice_loss(choice, columns, tf.gather(model._frequency, columns)) * [0.5, 1.5, 0.5, 0.5] * 4 / 3
    np.testing.assert_allclose(model.compute_loss(batch), 0.5 * np.mean(loss), rtol=1e-5)
    tf.saved_model.save(RankingServable(model, plain, model._config), str(tmp_path))
    query = {name: batch[name] for name in plain.features.query_names()}
    loaded = tf.saved_model.load(str(tmp_path))
    found = loaded.score(query, own[tf.newaxis] + tf.zeros([4, 1, 1]))
    assert list(found) == ["choice"] and found["choice"].shape == (4, 4)
    assert ranking.validate(model, plain) == {}


def test_ranking_validation_measures_what_the_data_has(data, shop):
    model = ranking_model(data)
    got = ranking.validate(model, data)
    (asked,) = in_order(data.eval, 10)
    items = {name: tf.gather(values, [2, 1, 3]) for name, values in data.item_table().items()}
    found = model.predict_scores(asked, model.candidate_vectors(items)[:, tf.newaxis])
    errors = found.rating.numpy()[:, 0] - [4, 1, 5]
    assert got["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-5)
    assert got["mae"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-5)
    assert got["binary_accuracy"] == pytest.approx(np.mean((found.preference.numpy()[:, 0] > 0) == [1, 0, 1]))
    assert ranking.validate(ranking_model(shop), shop).keys() == {"auc", "binary_accuracy"}
