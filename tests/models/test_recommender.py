"""The servable of models that know four items, whose index finds what a test says."""

import copy
import functools
import time

import numpy as np
import pytest
import tensorflow as tf

from components.recommender_builder.recommender import Recommender
from components.recommender_builder.rules import Rules
from components.recommender_builder.servable import ForRequests
from components.recommender_builder.settings import Index
from components.recommender_builder.users import Users
from components.recommender_builder.vectors import CandidateVectors
from models.features.feature_set import Histories
from models.joining import Weights
from models.ranking import RankingServable
from models.retrieval import RetrievalServable
from tests.models.conftest import FEATURES, ranking_model, retrieval_model

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
    gaps = recommender_that_finds(0, 1, 2, 3)._features(query)["history_gap"].numpy()
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
    found = recommender_that_finds(0, 1, 2, 3)._features(request)
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


def test_a_server_has_nothing_of_the_towers_that_made_the_candidates(data, rows, tmp_path):
    model = retrieval_model(data)
    tf.saved_model.save(RetrievalServable(model, data, 1.0), str(tmp_path / "trained"))
    trained = tf.saved_model.load(str(tmp_path / "trained"))
    served = ForRequests(trained, ("query", "again"))
    tf.saved_model.save(served, str(tmp_path / "served"))
    loaded = tf.saved_model.load(str(tmp_path / "served"))
    for of in (served, loaded):
        assert len(of.read) == len(model.query_tower.variables)
        assert not {variable.name for variable in of.read} & {"item_id/embeddings:0", "item_bias/embeddings:0"}
    query = {name: rows[name] for name in FEATURES.query_names()}
    np.testing.assert_allclose(loaded.query(query), trained.query(query), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(loaded.query(query)[:, :-2], model.query_tower(rows), atol=1e-3)
