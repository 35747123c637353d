"""Searches that leave out what a query does not want."""

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
