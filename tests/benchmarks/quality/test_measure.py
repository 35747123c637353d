"""Ranks and lists from scores that are known."""

import numpy as np
import pytest

from benchmarks.quality import measure
from benchmarks.quality.dataset import FROZEN
from tests.benchmarks.conftest import checkerboard, dataset


class Table(measure.Fixed):
    """Scores by user."""

    def __init__(self, table):
        self._table = np.array(table, np.float32)

    def scores(self, queries):
        return self._table[queries.user]


def answer(model, data):
    return measure.answer(model, data.asked[FROZEN], {}, data.items, data.repeats)


def test_ties_share_the_middle_rank_and_what_is_left_out_is_not_found():
    scores = np.array([[3.0, 2.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0], [-np.inf, 1.0, 0.0, 0.0]])
    assert measure.middle_ranks(scores, np.array([1, 0, 0])).tolist() == [2.5, 2.5, np.inf]


def test_the_best_come_first_and_short_lists_are_filled_up():
    scores = np.array([[1.0, 3.0, 2.0, 5.0], [-np.inf, 1.0, -np.inf, 2.0]])
    assert measure.best(scores, 3).tolist() == [[3, 1, 2], [3, 1, -1]]
    assert measure.best(scores, 10).shape == (2, 4)


def test_the_history_is_left_out_unless_items_repeat():
    train, held_out = [(0, 0, 1), (0, 1, 2)], [(0, 2, 3), (0, 1, 4)]
    model = Table([[4, 3, 2, 1]])
    found = answer(model, dataset(train, held_out, 4))
    assert found.ranks.tolist() == [1, np.inf] and found.lists.tolist() == [[2, 3, -1, -1]] * 2
    found = answer(model, dataset(train, held_out, 4, repeats=True))
    assert found.ranks.tolist() == [3, 2] and found.lists.tolist() == [[0, 1, 2, 3]] * 2


def test_a_constant_score_is_worth_its_middle_rank():
    found = answer(Table(np.zeros((40, 30))), checkerboard())
    assert set(found.ranks) == {9.5}, "18 items are left"


def test_answers_are_in_the_order_of_the_queries_whatever_the_batches(monkeypatch):
    data = checkerboard()
    table = Table(np.random.default_rng(1).random((40, 30)))
    whole = answer(table, data)
    monkeypatch.setattr(measure, "_BATCH", 7)
    parts = answer(table, data)
    np.testing.assert_array_equal(whole.ranks, parts.ranks)
    np.testing.assert_array_equal(whole.lists, parts.lists)


def test_the_objective_is_the_geometric_mean_of_top_100_and_ndcg():
    data = dataset([(0, 0, 1)], [(0, 1, 3), (0, 2, 4)], 200)
    ((values, value),) = measure.objectives(Table([[0, 2, 1, *range(-1, -198, -1)]]), data.asked[FROZEN], 200, False)
    assert values == {} and value == pytest.approx(np.sqrt(1 * (1 + 1 / np.log2(3)) / 2))
