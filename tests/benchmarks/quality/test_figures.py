"""Figures of ranks and lists against what numpy says by hand."""

import numpy as np
import pytest

from benchmarks.quality import beyond, figures
from benchmarks.quality.dataset import FROZEN
from tests.benchmarks.conftest import dataset


def test_figures_of_known_ranks():
    found = figures.means(figures.per_query(np.array([1.0, 2.5, 10, 51, 101, np.inf])))
    assert [found[f"top_{k}"] for k in (1, 5, 10, 50, 100)] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 3 / 6, 4 / 6])
    assert found["ndcg_at_10"] == pytest.approx((1 + 1 / np.log2(3.5) + 1 / np.log2(11)) / 6)
    assert found["mrr"] == pytest.approx((1 + 1 / 2.5 + 1 / 10 + 1 / 51 + 1 / 101) / 6)


def test_a_list_of_ten_has_no_figures_of_longer_ones():
    assert [*figures.per_query(np.array([1.0]), 10)] == ["top_1", "top_5", "top_10", "ndcg_at_10"]
    assert "mrr" in figures.per_query(np.array([1.0]), 100)


def test_each_query_is_averaged_over_seeds_and_groups_apart():
    of_seeds = figures.mean_of_seeds([{"mrr": np.array([0.0, 1.0])}, {"mrr": np.array([1.0, 1.0])}])
    groups = {"repeat": np.array([True, False]), "new": np.array([False, True]), "none": np.zeros(2, bool)}
    assert figures.of_groups(of_seeds, groups) == {"repeat": {"mrr": 0.5}, "new": {"mrr": 1.0}}


def half_width(values, users):
    low, high = figures.intervals({"top_100": values, "mrr": values}, users)["top_100"]
    assert low <= values.mean() <= high
    return (high - low) / 2


def test_intervals_are_as_wide_as_the_number_of_users_says():
    hits = np.tile([0.0, 1.0], 200)
    expected = 1.96 * 0.5 / np.sqrt(400)
    assert half_width(hits, np.arange(400)) == pytest.approx(expected, rel=0.1)
    assert half_width(np.repeat(hits, 5), np.repeat(np.arange(400), 5)) == pytest.approx(expected, rel=0.1)
    assert half_width(np.ones(50), np.arange(50)) == 0
    assert [*figures.intervals({"mrr": hits}, np.arange(400))] == []


def test_intervals_cover_the_mean():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(100):
        users = np.repeat(np.arange(60), 5)
        values = (rng.random(300) < rng.beta(2, 5, 60)[users]).astype(float)
        low, high = figures.intervals({"top_100": values}, users)["top_100"]
        covered += low <= 2 / 7 <= high
    assert 88 <= covered <= 99


TRAIN = [(0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 2), (1, 2, 3), (2, 0, 1), (2, 3, 2), (3, 0, 1)]


def test_coverage_novelty_and_diversity():
    data = dataset(TRAIN, [(0, 4, 9), (1, 4, 9)], 6)
    lists = np.array([[0, 1, 2], [0, 3, -1]])
    found = beyond.figures(lists, data, data.asked[FROZEN])
    assert found["coverage"] == 4 / 6
    users = np.array([4, 2, 1, 1])
    assert found["novelty"] == pytest.approx(np.mean(-np.log2(users[[0, 1, 2, 0, 3]] / 4)))
    vectors = data.matrix.toarray().T
    vectors = vectors / np.maximum(1e-9, np.linalg.norm(vectors, axis=1, keepdims=True))
    cosine = vectors @ vectors.T
    first = np.mean([cosine[0, 1], cosine[0, 2], cosine[1, 2]])
    assert found["diversity"] == pytest.approx(1 - np.mean([first, cosine[0, 3]]))
    nobodys = beyond.figures(np.array([[4, 5], [4, 5]]), data, data.asked[FROZEN])
    assert nobodys["diversity"] == 1 and nobodys["novelty"] == 2, "as if one of the four had it"


def test_miscalibration_is_the_distance_of_two_distributions_of_popularity():
    counts = np.array([40, 30, 10, 10, 5, 5, 0])
    assert beyond.popularity_levels(counts).tolist() == [0, 1, 1, 2, 2, 2, 2]
    one, other = np.array([[0.5, 0.5, 0.0]]), np.array([[1.0, 0.0, 0.0]])
    middle = np.array([0.75, 0.25])
    expected = (0.5 * np.log2(0.5 / middle[0]) + 0.5 * np.log2(0.5 / middle[1]) + np.log2(1 / middle[0])) / 2
    assert beyond.jensen_shannon(one, other) == pytest.approx([expected])
    assert beyond.jensen_shannon(one, one) == pytest.approx([0])
    assert beyond.jensen_shannon(one, np.array([[0.0, 0.0, 1.0]])) == pytest.approx([1])


def test_lists_like_the_history_are_calibrated():
    train = [(user, 0, 1) for user in range(8)] + [(9, 1, 1), (9, 2, 2), (9, 0, 3), (9, 0, 4)]
    data = dataset(sorted(train), [(9, 1, 9), (7, 1, 9), (20, 1, 9)], 5)
    queries = data.asked[FROZEN]
    level = beyond.popularity_levels(data.counts)
    assert level[0] == 0 and level[3] == 2
    same = np.array([[0, 1, 0, 2]] * 3)
    assert beyond.miscalibration(same, data, queries.at(np.array([0]))) == pytest.approx(0)
    assert beyond.miscalibration(np.array([[3, 4]]), data, queries.at(np.array([1]))) == pytest.approx(1)
    assert np.isnan(beyond.miscalibration(same[:1], data, queries.at(np.array([2])))), "there is no history"
