"""Models and servable against a few lines of numpy."""

import copy
import functools
import time

import numpy as np
import pytest
import tensorflow as tf

from components.recommender_builder import recommender as recommender_module
from components.recommender_builder.recommender import Recommender
from components.recommender_builder.rules import Rules
from components.recommender_builder.settings import Index
from components.recommender_builder.users import Users
from components.recommender_builder.vectors import CandidateVectors
from models import ranking, retrieval
from models.features import names
from models.features.feature_set import Histories
from models.joining import Weights
from models.queries import in_order, model_batch
from models.ranking import RankingModel, RankingServable
from models.retrieval import RetrievalModel, RetrievalServable
from models.settings import Ranking, Retrieval
from tests.models.conftest import FEATURES


def retrieval_model(data, **values):
    return RetrievalModel(Retrieval(embedding_dim=4, history_dropout=0, user_dropout=0, item_dropout=0, **values), data)


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


NOBODY = {"user_id": tf.constant(["nobody"]), "timestamp": tf.constant([0], tf.int64)}
NO_HISTORY = {"history_item_id": tf.constant([[""]]), "history_timestamp": tf.constant([[0]], tf.int64)}
NO_CONTEXT = {"device": tf.constant([""]), "volume": tf.constant([np.nan])}
NO_QUERY = NOBODY | NO_HISTORY | NO_CONTEXT


@pytest.fixture
def recommender_that_finds(data):
    """Makes Recommenders of the same models, whose index finds the rows that are given."""
    ranker = ranking_model(data)
    ranking_servable = RankingServable(ranker, data, ranker._config)
    of_users = {
        name: np.concatenate([data.train.users[name][:1], np.full_like(data.train.users[name][:1], value)])
        for name, value in data.unknown_user.items()
    }
    users = Users(np.array([b"a"]), np.array([0, 1, 1]), np.array([1], np.int32), np.array([1_000]), of_users)

    @functools.cache
    def models(repeats):
        of_kind = copy.copy(data)
        of_kind.features = FEATURES.model_copy(update={"histories": Histories(repeats=repeats)})
        retrieval_servable = RetrievalServable(retrieval_model(of_kind), of_kind, 1.0)
        retrieval_servable.forecast_weights.assign(np.ones_like(retrieval_servable.forecast_weights))
        servables = retrieval_servable, ranking_servable
        return of_kind.features, servables, CandidateVectors(data.catalogue, users, *servables)

    def make(*rows, repeats=False):
        index = tf.Module()
        index.search = lambda queries, k: tf.constant([rows], tf.int32)
        features, servables, vectors = models(repeats)
        indexes, weights = (index, index), Weights(choice=0.7, preference=1.5)
        rules = Rules(np.zeros(len(data.catalogue) + 1, bool))
        return Recommender(
            Index(), data.catalogue, users, features, data.transform, *servables, vectors, *indexes, weights, rules
        )

    return make


def test_what_is_popular_after_the_data_is_told_by_all_rows_unless_train_alone_is_known(recommender_that_finds):
    """A query from after the train rows; the train rows and what the servable knows name other items."""
    recommender = recommender_that_finds(0, 1, 2, 3)
    features = recommender._features(NO_QUERY | {"timestamp": tf.constant([10**9], tf.int64)})
    of_train, of_all = (recommender._vectors.retrieval.numpy()[:, place] for place in (-2, -1))
    assert of_all.argmax() == 1 and of_all[1] > 0, "the one interaction that is known"
    assert not np.array_equal(of_train, of_all)
    vectors = recommender._vectors_of(features).numpy()
    assert vectors[0, -2:].tolist() == [0, 1]
    before = recommender._vectors_of(recommender._features(NO_QUERY | {"timestamp": tf.constant([1_000], tf.int64)}))
    assert before.numpy()[0, -2:].tolist() == [0, 0]
    recommender.assume(tf.constant([b"a"]), tf.constant([b"1"]), tf.constant([5], tf.int64))
    assert recommender._vectors_of(features).numpy()[0, -2:].tolist() == [1, 0]


def test_all_signatures_read_what_clients_send_as_the_data_was_read(recommender_that_finds):
    signatures = recommender_that_finds(0, 1, 2, 3).signatures()
    data = {
        "user_id": tf.constant(["a"]),
        "timestamp": tf.constant([2_000], tf.int64),
        "history_item_id": tf.constant([["1", "", "3"]]),
        "history_timestamp": tf.constant([[1_000, 0, 900]], tf.int64),
        "device": tf.constant(["phone"]),
        "volume": tf.constant([3.0]),
    }
    sent = data | {
        "user_id": tf.constant(["\u00a0a\t"]),
        "history_item_id": tf.constant([["1.0", " ", "\ufeff3 "]]),
        "device": tf.constant(["phone\n"]),
    }
    of_items = tf.constant(["2", "9"]), tf.constant([" 2.00", "9\u3000"])
    inputs = {
        "serving_default": [{"user_id": of["user_id"]} for of in (data, sent)],
        "recommend": [data, sent],
        "recommend_filtered": [
            of | {"exclude_item_id": tf.constant([[item]])} for of, item in ((data, "2"), (sent, " 2.0"))
        ],
        "retrieve": [data, sent],
        "rank": [of | {"item_id": items[tf.newaxis]} for of, items in zip((data, sent), of_items, strict=True)],
        "similar": [{"item_id": items[:1]} for items in of_items],
    }
    assert inputs.keys() == signatures.keys()
    unknown = signatures["retrieve"](**data | {"user_id": tf.constant(["b"])})
    assert unknown["item_id"].numpy().tolist() != signatures["retrieve"](**data)["item_id"].numpy().tolist()
    for name, pair in inputs.items():
        plain, odd = (signatures[name](**of) for of in pair)
        assert plain.keys() == odd.keys()
        for output, values in plain.items():
            assert values.numpy().tolist() == odd[output].numpy().tolist(), (name, output)


@pytest.mark.parametrize("user", ["a", "nobody"])
def test_what_is_measured_is_what_the_signatures_answer(recommender_that_finds, user):
    recommender = recommender_that_finds(0, 1, 2, 3)
    signatures = recommender.signatures()
    query = NO_QUERY | {
        "user_id": tf.constant([user]),
        "history_item_id": tf.constant([["3", " 1.0"]]),
        "history_timestamp": tf.constant([[900, 0]], tf.int64),
    }
    found = {name: values.numpy() for name, values in recommender.measure(query, tf.constant(["1"])).items()}
    ids = recommender.ids.numpy()
    for name, signature in (("retrieved", "retrieve"), ("recommended", "recommend")):
        answer = {output: values.numpy() for output, values in signatures[signature](**query).items()}
        assert ids[found[name]].tolist() == answer["item_id"].tolist()
        np.testing.assert_allclose(found[f"{name}_score"], answer["score"], rtol=1e-6)
    ranked = signatures["rank"](**query, item_id=tf.constant([["1"]]))
    assert found.keys() - ranked.keys() == {"retrieved", "retrieved_score", "recommended", "recommended_score"}
    for name in found.keys() & ranked.keys():
        np.testing.assert_allclose(found[name], ranked[name][:, 0], rtol=1e-5)


def test_a_catalogue_of_fewer_items_gives_no_longer_lists(recommender_that_finds):
    """Four items, of which ten are to be recommended out of a hundred."""
    recommender = recommender_that_finds(0, 1, 2, 3)
    for found in (
        recommender.recommend(**NO_QUERY),
        recommender.retrieve(**NO_QUERY),
        recommender.recommend_known(tf.constant(["nobody"])),
    ):
        assert sorted(found["item_id"].numpy()[0]) == [b"1", b"2", b"3", b"9"]
    similar = recommender.similar(tf.constant(["1"]))["item_id"].numpy()[0].tolist()
    assert sorted(similar) == [b"", b"2", b"3", b"9"] and similar[-1] == b""


def test_now_is_the_end_of_the_data_unless_the_history_goes_on_after_it(recommender_that_finds):
    now = int(time.time())
    query = {name: tf.repeat(values, 3, axis=0) for name, values in NO_QUERY.items()} | {
        "history_item_id": tf.constant([["1"], ["1"], [""]]),
        "history_timestamp": tf.constant([[900], [now - 60], [0]], tf.int64),  # The data ends at 1,000.
    }
    gaps = recommender_that_finds()._features(query)["history_gap"].numpy()
    np.testing.assert_allclose(np.expm1(gaps[:2, 0]), [100, 60], atol=20)


def test_a_request_becomes_the_query_that_training_had(recommender_that_finds, data, rows):
    request = {
        "user_id": tf.constant(["a", "nobody"]),
        "timestamp": tf.constant([2_000, 2_000], tf.int64),
        "history_item_id": tf.constant([["1"], [""]]),
        "history_timestamp": tf.constant([[1_000], [0]], tf.int64),
        "device": tf.constant(["phone", ""]),
        "volume": tf.constant([3.0, np.nan]),
    }
    found = recommender_that_finds()._features(request)
    assert list(found) == FEATURES.query_names()
    for name, values in found.items():
        np.testing.assert_allclose(values.numpy()[0], rows[name].numpy()[1], rtol=1e-6, err_msg=name)
    unknown = {"user_id": 3, "age": 0, "clubs": [-1, -1], "device": 2, "volume": 0, "history_gap": [-1]}
    assert {name: found[name].numpy()[1].tolist() for name in unknown} == unknown


def test_the_servable_sorts_what_its_index_finds_and_knows_what_is_no_candidate(recommender_that_finds):
    def retrieved(user, *rows, **options):
        query = NO_QUERY | {"user_id": tf.constant([user])}
        found = recommender_that_finds(*rows, **options).retrieve(**query)
        return found["item_id"].numpy()[0].tolist(), found["score"].numpy()[0]

    items, scores = retrieved("unknown_user", 0, 2, 3, 4)  # 4 is no candidate.
    assert sorted(items[:3]) == [b"1", b"3", b"9"] and items[3] == b""
    assert all(scores[:3] >= scores[1:]) and scores[2] > scores[3] == tf.float32.min
    assert retrieved("unknown_user", 3, 2, 4, 0)[0] == items
    assert retrieved("a", 1, 4, 0, 4)[0] == [b"1", b"", b"", b""]
    assert sorted(retrieved("a", 1, 4, 0, 4, repeats=True)[0]) == [b"", b"", b"1", b"2"]


@pytest.fixture
def eagerly():
    """Functions run as Python does them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("spare", [0, 1, 300])
def test_who_has_had_much_gets_as_many_candidates(recommender_that_finds, spare, monkeypatch):
    monkeypatch.setattr(recommender_module, "_SPARE", spare)
    recommender = recommender_that_finds()
    recommender._candidates_wanted = 2
    asked = []

    def search(queries, k):
        asked.append(queries.numpy().tolist())
        return tf.math.top_k(tf.gather(scores, queries), tf.minimum(k, 4)).indices

    scores = tf.constant([[1.0, 2, 3, 4], [4, 3, 2, 1], [4, 3, 2, 1]])
    had = tf.ragged.constant([[], [0, 1, 0], [1]], dtype=tf.int32)
    assert recommender._found(search, tf.range(3), had).numpy().tolist() == [[3, 2], [2, 3], [0, 2]]
    everybody = [0, 1, 2]
    assert asked == {0: [everybody, [1, 2]], 1: [everybody, [1]], 300: [everybody]}[spare], "those with too few, again"


def test_where_items_repeat_those_of_the_history_are_candidates_too(recommender_that_finds):
    recommender = recommender_that_finds(0, 1, repeats=True)
    given = {
        "history_item_id": tf.constant([["3", "3", ""]]),
        "history_timestamp": tf.constant([[900, 800, 0]], tf.int64),
    }
    found = recommender.retrieve(**NO_QUERY | given)
    assert sorted(found["item_id"].numpy()[0].tolist())[-3:] == [b"1", b"2", b"3"]
    assert np.all(np.diff(found["score"].numpy()[0]) <= 0)
    ranked = recommender.rank(item_id=tf.constant([["3", "1"]]), **NO_QUERY | given)["score"].numpy()[0]
    without = recommender.rank(item_id=tf.constant([["3", "1"]]), **NO_QUERY)["score"].numpy()[0]
    assert ranked[0] - ranked[1] > without[0] - without[1], "what was had speaks for itself"


def test_the_servable_can_be_made_to_know_other_interactions(recommender_that_finds):
    def known(*rows):
        items, times = recommender._known_history(tf.constant(["a", "nobody"]))
        return items.numpy().tolist(), times.numpy().tolist()

    recommender = recommender_that_finds(0, 1, 2, 4)
    assert known() == ([[b"2"], [b""]], [[1_000], [0]])
    recommender.assume(
        user_id=tf.constant(["nobody", "a", "a"]),
        item_id=tf.constant(["1", "3", "1"]),
        timestamp=tf.constant([9, 8, 7], tf.int64),
    )
    assert known() == ([[b"3", b"1"], [b"", b""]], [[8, 7], [0, 0]])
    found = recommender.retrieve(**NO_QUERY | {"user_id": tf.constant(["a"])})
    assert found["item_id"].numpy().tolist() == [[b"2", b"", b"", b""]]


def test_saved_towers_answer_as_before(data, rows, tmp_path):
    model = retrieval_model(data)
    servable = RetrievalServable(model, data, temperature=0.5)
    query = query_of(rows)
    tf.saved_model.save(servable, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    towers, after, more = np.split(loaded.query(query).numpy(), [-2, -1], axis=1)
    np.testing.assert_allclose(towers, model.query_tower(rows) / 0.5, rtol=1e-5, atol=1e-6)
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


def ranking_model(data, **values):
    return RankingModel(Ranking(embedding_dim=4, layers=[8], dropout=0, **values), data)


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
    tf.saved_model.save(servable, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
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
