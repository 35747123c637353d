"""Which candidates the weights of the stages are fitted on."""

import numpy as np

from components.recommender_builder import stages


def test_candidates_are_the_nearest_that_were_not_had():
    nearest = np.array([[3, 1, 2, 0], [0, 4, 5, 5]])  # 5 is no candidate.
    history = np.array([[1, -1], [4, 0]])
    found = stages._candidates(nearest, history, wanted=2, unknown=5, repeats=False)
    assert found.tolist() == [[3, 2], [5, 5]]


def test_where_items_repeat_what_was_had_is_among_them_once():
    nearest = np.array([[3, 1, 2, 0]])
    history = np.array([[1, 1, 4, -1]])
    found = stages._candidates(nearest, history, wanted=2, unknown=5, repeats=True)
    assert found.tolist() == [[1, 4, 3, 2]]


def test_lists_of_batches_are_filled_up_to_the_longest():
    short = (np.zeros([1, 2]), np.ones([1, 2, 2]), np.array([1]))
    long = (np.zeros([2, 3]), np.ones([2, 3, 2]), np.array([0, 2]))
    scores, parts, target = stages._stacked([short, long])
    assert scores.tolist() == [[0, 0, -np.inf], [0, 0, 0], [0, 0, 0]]
    assert parts.shape == (3, 3, 2) and parts[0, 2].tolist() == [0, 0] and target.tolist() == [1, 0, 2]
