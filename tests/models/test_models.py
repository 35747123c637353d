"""Layers and losses against a few lines of numpy."""

import time

import numpy as np
import pytest
import tensorflow as tf

from components.recommender_builder.recommender import CandidateVectors, Recommender
from components.recommender_builder.settings import Index
from components.recommender_builder.users import Users
from models import inputs, layers, losses
from models.catalogue import Catalogue
from models.features import names
from models.ranking import RankingModel, RankingServable
from models.retrieval import RetrievalModel, RetrievalServable, validate
from models.settings import Ranking, Retrieval
from models.training import Ratings, TrainingRows
from tests.models.conftest import FEATURES


def test_the_mean_of_a_list_leaves_the_padding_out():
    layer = layers.ListEmbedding(4, 3, "t")
    result = layer(tf.constant([[1, 2, -1], [-1, -1, -1], [3, -1, -1]])).numpy()
    rows = layer.weights[0].numpy()
    np.testing.assert_allclose(result, [(rows[1] + rows[2]) / 2, [0, 0, 0], rows[3]], rtol=1e-6)


def test_moment_embedding_merges_neighbouring_buckets():
    layer = layers.MomentEmbedding(7, 2, [1, 3])
    got = layer(tf.constant([0, 2, 3, 6])).numpy()
    fine, coarse = (table.embeddings.numpy() for table in layer._tables)
    assert (len(fine), len(coarse)) == (7, 3)
    np.testing.assert_allclose(got, fine[[0, 2, 3, 6]] + coarse[[0, 0, 1, 2]], rtol=1e-6)


def test_history_embedding_is_the_mix_of_decayed_sums():
    layer = layers.HistoryEmbedding(5, 2, [60.0, 3600.0], dropout=0.5)
    items, seconds = np.array([[1, 4, 2], [3, -1, -1]]), np.array([[0.0, 100.0, 7200.0], [50.0, 0.0, 0.0]])
    gaps = np.log1p(seconds).astype(np.float32)
    gaps[0, 2] = -1  # Unknown.
    got = layer(tf.constant(items), tf.constant(gaps)).numpy()
    table, mix = layer._items.embeddings.numpy(), layer._mix.numpy()
    for row in range(2):
        known = items[row] >= 0
        timed = known & (gaps[row] >= 0)
        weights = [np.exp(-seconds[row] / tau) * timed for tau in (60.0, 3600.0)] + [known.astype(float)]
        sums = [w @ table[np.maximum(items[row], 0)] / np.sqrt(1 + w.sum()) for w in weights]
        np.testing.assert_allclose(got[row], (np.array(sums) * mix).sum(0), rtol=1e-4)


def test_history_embedding_does_not_see_the_width_of_the_padding():
    layer = layers.HistoryEmbedding(5, 2, [60.0], dropout=0.5)
    short = layer(tf.constant([[1, 2]]), tf.constant([[0.5, 3.0]]))
    long = layer(tf.constant([[1, 2, -1, -1]]), tf.constant([[0.5, 3.0, -1.0, -1.0]]))
    np.testing.assert_allclose(short, long, rtol=1e-6)


def test_target_attention_weighs_by_similarity_and_recency():
    layer = layers.TargetAttention(5, 2, [60.0], dropout=0.5)
    items, seconds = np.array([[1, 4, 2], [-1, -1, -1]]), np.array([[0.0, 100.0, 30.0], [0.0, 0.0, 0.0]])
    gaps = np.log1p(seconds).astype(np.float32)
    gaps[0, 2] = -1  # Unknown.
    candidates = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    got = layer(tf.constant(items), tf.constant(gaps), tf.constant(candidates)).numpy()
    entries = layer._items.embeddings.numpy()[items[0]]
    logits = candidates[0] @ entries.T + np.array([1.0, np.exp(-100 / 60), 0.0])
    weights = np.exp(logits) / (1 + np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(got[0], weights @ entries, rtol=1e-4)
    assert not got[1].any(), "an empty history says nothing"


def test_hide_hides_all_or_nothing_at_the_extremes():
    indices = tf.constant([0, 1, 2], tf.int64)
    assert layers.hide(indices, 9, 0.0).numpy().tolist() == [0, 1, 2]
    assert layers.hide(indices, 9, 1.0).numpy().tolist() == [9, 9, 9]


@pytest.fixture(scope="module")
def batch(transformed):
    transform, file = transformed
    (batch,) = inputs.dataset([file], transform, 10)
    return transform, batch


@pytest.fixture(scope="module")
def catalogue(batch):
    _transform, rows = batch
    keep = [list(rows["item_key"].numpy()).index(item) for item in (b"1", b"2", b"3")]
    features = {name: rows[name].numpy()[keep] for name in FEATURES.candidate_names()}
    return Catalogue(ids=np.array([b"1", b"2", b"3"]), titles=np.array([b"", b"", b""]), features=features)


def training_rows(counts):
    return TrainingRows(int(counts.sum()), counts, Ratings(2.0, 5.0, 3.5, 0.5))


def retrieval_model(batch, catalogue, **values):
    transform, rows = batch
    config = Retrieval(embedding_dim=4, history_dropout=0, user_dropout=0, item_dropout=0, **values)
    counts = np.bincount(rows["item_id"].numpy(), minlength=inputs.bucket_counts(transform)["item_id"])
    return RetrievalModel(config, FEATURES, transform, catalogue, training_rows(counts)), counts


@pytest.mark.parametrize("correction", [True, False])
@pytest.mark.parametrize("accidental_hits", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_retrieval_loss_is_the_corrected_softmax(batch, catalogue, correction, accidental_hits, temperature):
    _, rows = batch
    model, counts = retrieval_model(
        batch,
        catalogue,
        uniform_negatives=0,
        temperature=temperature,
        sampling_bias_correction=correction,
        remove_accidental_hits=accidental_hits,
    )
    got = float(model.compute_loss(rows))
    logits = model.query_tower(rows).numpy() @ model.candidate_tower(rows).numpy().T / temperature
    ids = rows["item_id"].numpy()
    if correction:
        logits = logits - np.log(counts[ids] / counts.sum())
    if accidental_hits:
        logits[(ids[:, None] == ids) & ~np.eye(len(ids), dtype=bool)] = -np.inf
    expected = np.mean(np.log(np.exp(logits).sum(1)) - np.diag(logits))
    assert got == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("hard", [None, 2, 99])
def test_negatives_beyond_the_batch_are_left_out_by_their_ids(hard):
    rng = np.random.default_rng(0)
    queries, candidates = (rng.normal(size=(rows, 4)).astype(np.float32) for rows in (3, 7))
    ids, probability = np.array([5, 6, 5, 7, 6, 8, 9]), rng.uniform(0.1, 1, 7).astype(np.float32)
    config = Retrieval(temperature=0.5, hard_negatives=hard)
    got = losses.sampled_softmax(queries, candidates, tf.constant(ids), tf.constant(probability), config).numpy()
    logits = queries @ candidates.T / 0.5 - np.log(probability)
    for row in range(3):
        hardest = np.sort(logits[row, ids != ids[row]])[::-1][:hard]
        expected = np.log(np.exp([logits[row, row], *hardest]).sum()) - logits[row, row]
        assert got[row] == pytest.approx(expected, rel=1e-4)


def test_uniform_negatives_enter_the_sampling_probability_as_a_mixture(batch, catalogue):
    model, counts = retrieval_model(batch, catalogue, uniform_negatives=6)
    probability = model._sampling_probability(tf.constant([0, 3]), tf.constant(4)).numpy()
    share = counts[[0, 3]] / counts.sum()
    np.testing.assert_allclose(probability, (4 * share + 6 / 3) / 10, rtol=1e-6)
    assert np.isfinite(float(model.compute_loss(batch[1], training=True)))


def test_a_hidden_row_is_the_query_of_an_unknown_user(batch, catalogue):
    transform, rows = batch
    model, _ = retrieval_model(batch, catalogue, query_dropout=1 - 1e-7)
    got = model.query_tower(rows, training=True).numpy()
    unknown_user = rows | {
        "user_id": tf.fill(tf.shape(rows["user_id"]), tf.constant(inputs.oov_index(transform, "user_id"), tf.int64)),
        "age": tf.zeros_like(rows["age"]),
        "history_item_id": tf.fill(tf.shape(rows["history_item_id"]), tf.constant(names.PADDING, tf.int64)),
    }
    np.testing.assert_allclose(got, model.query_tower(unknown_user), rtol=1e-6)
    assert np.abs(got - model.query_tower(rows).numpy()).max() > 1e-3


@pytest.fixture
def recommender_that_finds(batch, catalogue):
    """Makes Recommenders of the same models, whose index finds the rows that are given."""
    transform, _ = batch
    model, _ = retrieval_model(batch, catalogue)
    ranker, config = ranking_model(batch)
    retrieval, ranking = (
        RetrievalServable(model, FEATURES, transform, 1.0),
        RankingServable(ranker, FEATURES, transform, config),
    )
    ages = {"age": np.array([20.0, np.nan], np.float32)}
    users = Users(np.array([b"a"]), np.array([0, 1, 1]), np.array([b"2"]), np.array([1_000]), ages)
    vectors = CandidateVectors(catalogue, FEATURES, transform, retrieval, ranking)

    def make(*rows):
        index = tf.Module()
        index.search = lambda queries, k: tf.constant([rows])
        return Recommender(
            Index(), 100, catalogue, users, FEATURES, transform, retrieval, ranking, vectors, index, index
        )

    return make


def test_now_is_the_end_of_training_unless_the_history_goes_on_after_it(recommender_that_finds):
    recommender, now = recommender_that_finds(), int(time.time())
    times = tf.constant([[900], [now - 60], [0]], tf.int64)  # Training ended at 1,000.
    items = tf.constant([["1"], ["1"], [""]])
    gaps = recommender._features(tf.constant(["a"] * 3), tf.zeros(3, tf.int64), items, times)["history_gap"].numpy()
    np.testing.assert_allclose(np.expm1(gaps[:2, 0]), [100, 60], atol=20)


def test_the_servable_sorts_what_its_index_finds_and_knows_what_is_no_candidate(recommender_that_finds):
    def retrieved(user, *rows):
        zero, none = tf.constant([0], tf.int64), tf.constant([""])
        found = recommender_that_finds(*rows).retrieve(tf.constant([user]), zero, none[None], zero[None])
        return found["item_id"].numpy()[0].tolist(), found["score"].numpy()[0]

    items, scores = retrieved("unknown_user", 0, 2, 3)  # 3 is no candidate.
    assert sorted(items[:2]) == [b"1", b"3"] and items[2] == b""
    assert scores[0] >= scores[1] > scores[2] == tf.float32.min
    assert retrieved("unknown_user", 2, 3, 0)[0] == items
    assert retrieved("a", 1, 3, 0)[0] == [b"1", b"", b""]


def test_saved_towers_answer_as_before(batch, catalogue, tmp_path):
    transform, rows = batch
    model, _ = retrieval_model(batch, catalogue)
    servable = RetrievalServable(model, FEATURES, transform, temperature=0.5)
    query = {name: rows[name] for name in FEATURES.query_names()}
    tf.saved_model.save(servable, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.query(query), model.query_tower(rows) / 0.5, rtol=1e-5, atol=1e-6)
    first = {name: values[:1] for name, values in query.items()}
    np.testing.assert_allclose(loaded.query(first), loaded.query(query)[:1], rtol=1e-5, atol=1e-6)


def test_validation_counts_hits_by_item_id(batch, catalogue):
    transform, rows = batch
    model, _ = retrieval_model(batch, catalogue)
    servable = RetrievalServable(model, FEATURES, transform, 1.0)
    got = validate(servable, catalogue, [rows], FEATURES)
    constants = {name: tf.constant(values) for name, values in catalogue.features.items()}
    scores = model.query_tower(rows).numpy() @ model.candidate_tower(constants).numpy().T
    best = catalogue.ids[scores.argmax(1)]
    assert got["top_1_categorical_accuracy"] == pytest.approx(np.mean(best == rows["item_key"].numpy()))
    assert got["top_100_categorical_accuracy"] == 1.0, "the catalogue has three items"


def ranking_model(batch, **values):
    transform, rows = batch
    config = Ranking(embedding_dim=4, layers=[8], dropout=0, **values)
    counts = np.bincount(rows["item_id"].numpy(), minlength=inputs.bucket_counts(transform)["item_id"])
    return RankingModel(config, FEATURES, transform, training_rows(counts)), config


def test_ranking_loss_is_the_weighted_sum_of_its_three(batch):
    _transform, rows = batch
    model, _ = ranking_model(
        batch, negatives=3, rating_loss_weight=1.0, preference_loss_weight=0.5, choice_loss_weight=0.3
    )
    vectors = model.candidate_vectors(rows).numpy()
    count = len(vectors)
    others = (np.arange(count)[:, None] + np.arange(4)) % count
    found = model.score({name: rows[name] for name in FEATURES.query_names()}, tf.constant(vectors[others]))
    squared = (found.rating[:, 0] - rows["rating"]).numpy() ** 2
    liked = 1 / (1 + np.exp(-found.preference[:, 0].numpy()))
    likely = np.where(rows["preference"].numpy() == 1, liked, 1 - liked)
    ids = rows["item_id"].numpy()[others]
    logits = found.choice.numpy() - np.log((np.bincount(ids[:, 0])[ids]) / count)
    logits[:, 1:][ids[:, 1:] == ids[:, :1]] = -np.inf
    choice = np.log(np.exp(logits).sum(1)) - logits[:, 0]
    expected = squared.mean() - 0.5 * np.log(likely).mean() + 0.3 * choice.mean()
    assert float(model.compute_loss(rows)) == pytest.approx(expected, rel=1e-4)


def test_ranking_scores_a_list_as_it_scores_each_candidate(batch, tmp_path):
    transform, rows = batch
    model, config = ranking_model(batch)
    servable = RankingServable(model, FEATURES, transform, config)
    query = {name: rows[name] for name in FEATURES.query_names()}
    vectors = servable.candidate({name: rows[name] for name in FEATURES.candidate_names()})
    lists = tf.tile(vectors[tf.newaxis], [len(vectors), 1, 1])
    whole = servable.score(query, lists)
    ratings = whole["predicted_rating"]
    for i in range(len(vectors)):
        one = servable.score(query, lists[:, i : i + 1])
        np.testing.assert_allclose(ratings[:, i], one["predicted_rating"][:, 0], rtol=1e-5)
        np.testing.assert_allclose(whole["added"][:, i], one["added"][:, 0], rtol=1e-4, atol=1e-6)
    tf.saved_model.save(servable, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    np.testing.assert_allclose(loaded.score(query, lists)["predicted_rating"], ratings, rtol=1e-5)
    assert np.all((ratings.numpy() >= 2) & (ratings.numpy() <= 5))


def test_without_ratings_the_choice_is_all_that_is_learnt(batch, tmp_path):
    transform, rows = batch
    unrated = {name: values for name, values in rows.items() if name not in ("rating", "preference")}
    counts = np.bincount(rows["item_id"].numpy(), minlength=inputs.bucket_counts(transform)["item_id"])
    config = Ranking(embedding_dim=4, layers=[8], dropout=0, negatives=3, choice_loss_weight=0.5)
    model = RankingModel(config, FEATURES, transform, TrainingRows(int(counts.sum()), counts, None))
    own = model.candidate_vectors(unrated)
    others = (np.arange(4)[:, None] + np.arange(4)) % 4
    choice = model.score(unrated, tf.gather(own, others)).choice
    loss = model._choice_loss(choice, tf.gather(rows["item_id"], others))
    np.testing.assert_allclose(model.compute_loss(unrated), 0.5 * np.mean(loss), rtol=1e-5)
    tf.saved_model.save(RankingServable(model, FEATURES, transform, config), str(tmp_path))
    query = {name: rows[name] for name in FEATURES.query_names()}
    loaded = tf.saved_model.load(str(tmp_path))
    found = loaded.score(query, own[tf.newaxis] + tf.zeros([4, 1, 1]))
    assert list(found) == ["added"] and found["added"].shape == (4, 4)
