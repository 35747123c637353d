"""Searches that leave out what a query does not want."""

import numpy as np
import pytest
import tensorflow as tf

from components.recommender_builder import search


@pytest.fixture
def eagerly():
    """Functions run as Python does them."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("spare", [0, 1, 300])
@pytest.mark.parametrize("marked", [0, 4])
def test_who_has_had_much_gets_as_many_candidates(marked, spare, monkeypatch):
    monkeypatch.setattr(search, "_SPARE", spare)
    monkeypatch.setattr(search, "_MARKED", marked)
    asked = []

    def of_scores(queries, k):
        asked.append(queries.numpy().tolist())
        return tf.math.top_k(tf.gather(scores, queries), k).indices

    scores = tf.constant([[1.0, 2, 3, 4], [4, 3, 2, 1], [4, 3, 2, 1]])
    known = tf.constant([1, 1], tf.int64), tf.constant([0, 1], tf.uint8)
    had = search.LeftOut(tf.constant(3), 4, known, search.of_lists(tf.constant([[4, 4], [0, 4], [1, 4]])))
    found = search.best(of_scores, tf.range(3), had, wanted=2, available=4)
    assert found.numpy().tolist() == [[3, 2], [2, 3], [0, 2]]
    everybody = [0, 1, 2]
    assert asked == {0: [everybody, [1, 2]], 1: [everybody, [1]], 300: [everybody]}[spare], "those with too few, again"


@pytest.mark.parametrize("marked", [0, 50])
def test_what_is_left_out_of_a_batch_is_known_by_marks_as_by_sorting(marked, monkeypatch):
    monkeypatch.setattr(search, "_MARKED", marked)
    random = np.random.default_rng(0)
    queries, items, asked = random.integers(0, 4, 60), random.integers(0, 51, 60), random.integers(0, 51, [4, 9])
    pairs = {*zip(queries.tolist(), items.tolist(), strict=True)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32)] * 2 + [tf.TensorSpec([None, None], tf.int32)])
    def left_out(queries, items, asked):
        found = search.LeftOut(tf.constant(4), 50, (queries[:30], items[:30]), (queries[30:], items[30:]))
        return found.has(tf.range(4), asked), found.most

    has, most = left_out(*(tf.constant(of, tf.int32) for of in (queries, items, asked)))
    assert has.numpy().tolist() == [[(query, item) in pairs for item in asked[query].tolist()] for query in range(4)]
    assert most == max(sum(one == query for one, _ in pairs) for query in range(4))
