"""The choice of a search's settings."""

import numpy as np
import pytest

from components.recommender_builder import tuning
from components.recommender_builder.tuning import fastest, geometric_steps, recalls

TRUTH = np.array([[0, 1, 2, 3]])
QUERIES = np.zeros([1, 2], np.float32)


@pytest.fixture
def search(monkeypatch):
    """Makes a search that finds so many of the true rows, after so many milliseconds of a clock of its own."""
    clock = 0.0

    def make(settings):
        finds, milliseconds = settings

        def find(queries):
            nonlocal clock
            clock += milliseconds / 1000
            return np.array([[0, 1, 2, 3][:finds] + [9] * (4 - finds)])

        return find

    monkeypatch.setattr(tuning, "perf_counter", lambda: clock)
    return make


def test_the_fastest_of_those_that_find_enough_is_chosen(search):
    best = fastest([[(1, 1), (3, 40)], [(2, 1), (4, 10), (4, 60)]], search, QUERIES, TRUTH, 0.75)
    assert best.settings == (4, 10) and best.recall == 1.0 and best.milliseconds == pytest.approx(10)
    assert best.reached


def test_where_none_finds_enough_the_one_that_finds_most_is_chosen(search):
    best = fastest([[(1, 1), (3, 20)], [(2, 1)]], search, QUERIES, TRUTH, 0.9)
    assert best.settings == (3, 20) and best.recall == 0.75 and not best.reached


def test_recalls_count_rows_in_any_order():
    assert recalls(np.array([[3, 1], [5, 6]]), np.array([[1, 3], [6, 7]])).tolist() == [1.0, 0.5]


def test_a_recall_is_reached_only_where_other_queries_may_be_expected_to_reach_it():
    def search(settings):
        return lambda queries: np.array([[0, 1], [0, 9]] if settings == "uneven" else [[0, 1], [0, 1]])

    best = fastest([["uneven", "even"]], search, np.zeros([2, 2], np.float32), np.array([[0, 1], [0, 1]]), 0.7)
    assert best.settings == "even", "0.75 on average, of 1 and 0.5, is not surely above 0.7"
    best = fastest([["uneven"]], search, np.zeros([2, 2], np.float32), np.array([[0, 1], [0, 1]]), 0.7)
    assert best.recall == 0.75 and not best.reached


@pytest.mark.parametrize(
    "first,last,factor,expected", [(1, 8, 2, [1, 2, 4, 8]), (3, 10, 2, [3, 6, 10]), (0.5, 1, 1.4, [1]), (5, 5, 2, [5])]
)
def test_steps_rise_to_the_last(first, last, factor, expected):
    assert geometric_steps(first, last, factor) == expected
