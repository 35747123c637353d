"""The choice of a search's settings."""

import time

import numpy as np
import pytest

from components.recommender_builder.tuning import fastest, found_share, rising

TRUTH = np.array([[0, 1, 2, 3]])
QUERIES = np.zeros([1, 2], np.float32)


def search(settings):
    """Finds so many of the true rows, after so many milliseconds."""
    finds, milliseconds = settings

    def find(queries):
        time.sleep(milliseconds / 1000)
        return np.array([[0, 1, 2, 3][:finds] + [9] * (4 - finds)])

    return find


def test_the_fastest_of_those_that_find_enough_is_chosen():
    best = fastest([[(1, 1), (3, 40)], [(2, 1), (4, 10), (4, 60)]], search, QUERIES, TRUTH, 0.75)
    assert best.settings == (4, 10) and best.recall == 1.0 and best.milliseconds >= 10


def test_where_none_finds_enough_the_one_that_finds_most_is_chosen():
    best = fastest([[(1, 1), (3, 20)], [(2, 1)]], search, QUERIES, TRUTH, 0.9)
    assert best.settings == (3, 20) and best.recall == 0.75


def test_found_share_counts_rows_in_any_order():
    assert found_share(np.array([[3, 1], [5, 6]]), np.array([[1, 3], [6, 7]])) == pytest.approx(0.75)


@pytest.mark.parametrize(
    "first,last,factor,expected", [(1, 8, 2, [1, 2, 4, 8]), (3, 10, 2, [3, 6, 10]), (0.5, 1, 1.4, [1]), (5, 5, 2, [5])]
)
def test_steps_rise_to_the_last(first, last, factor, expected):
    assert rising(first, last, factor) == expected
