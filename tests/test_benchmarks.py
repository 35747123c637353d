"""The benchmark's measurements on data whose answer is known."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse

from benchmarks.quality import ablations, baselines
from benchmarks.quality.dataset import Dataset
from benchmarks.quality.measure import measure, middle_ranks
from pipeline.config import load_config


def test_ties_share_the_middle_rank_and_what_is_left_out_is_not_found():
    scores = np.array([[3.0, 2.0, 2.0, 1.0], [1.0, 1.0, 1.0, 1.0], [-np.inf, 1.0, 0.0, 0.0]])
    assert middle_ranks(scores, np.array([1, 0, 0])).tolist() == [2.5, 2.5, np.inf]


def checkerboard(users=40, items=30, seed=0):
    """Even users like even items and odd ones odd items; each has seen most of theirs, and the rest is asked for."""
    rng = np.random.default_rng(seed)
    train, held_out = [], []
    for user in range(users):
        own = rng.permutation(np.arange(user % 2, items, 2))
        train += [(user, item) for item in own[:-3]]
        held_out += [(user, item) for item in own[-3:]]
    pairs = np.array(train).T
    matrix = scipy.sparse.csr_matrix((np.ones(len(train), np.float32), tuple(pairs)), (users, items))
    eval_users, eval_items = np.array(held_out).T
    names = np.arange(max(users, items)).astype("S")
    return Dataset(names[:users], names[:items], matrix, tuple(pairs), eval_users, eval_items)


@pytest.mark.parametrize("name", ["ease", "ials", "bpr"])
def test_models_solve_the_checkerboard(name):
    data = checkerboard(users=600)
    found = measure(data, baselines.BASELINES[name](data, 1))
    assert found["filtered_top_5_categorical_accuracy"] > 0.95, "three items are left, and the first three are they"
    assert found["filtered_recall_at_10_per_user"] == pytest.approx(1.0, abs=0.05)


def test_a_constant_score_is_worth_its_middle_rank():
    data = checkerboard()
    found = measure(data, lambda users: np.zeros((len(users), 30)))
    assert found["filtered_top_5_categorical_accuracy"] == 0
    assert found["filtered_top_10_categorical_accuracy"] == 1, "18 items are left, so that the middle is rank 9.5"
    assert found["top_10_categorical_accuracy"] == 0


def test_perfect_and_hopeless_scores():
    data = checkerboard()
    wanted = np.zeros((40, 30))
    wanted[data.eval_users, data.eval_items] = [3.0, 2.0, 1.0] * 40
    found = measure(data, lambda users: wanted[users] + 0.0)
    assert found["filtered_top_1_categorical_accuracy"] == pytest.approx(1 / 3)
    assert found["filtered_ndcg_at_10_per_user"] == pytest.approx(1.0)
    assert measure(data, lambda users: -wanted[users])["filtered_top_10_categorical_accuracy"] == 0


def test_a_item_that_comes_twice_is_relevant_once():
    data = checkerboard()
    twice = dataclasses.replace(data, eval_items=np.repeat(data.eval_items[::3], 3))
    wanted = np.zeros((40, 30))
    wanted[twice.eval_users, twice.eval_items] = 1.0
    assert measure(twice, lambda users: wanted[users] + 0.0)["filtered_ndcg_at_10_per_user"] == pytest.approx(1.0)


def test_cold_users_are_told_apart():
    data = checkerboard()
    without_first = data.train.tolil()
    without_first[0] = 0
    cold = Dataset(data.users, data.items, without_first.tocsr(), data.train_pairs, data.eval_users, data.eval_items)
    assert cold.warm.tolist() == [False] * 3 + [True] * 117
    assert "cold_filtered_ndcg_at_10" in measure(cold, lambda users: np.ones((len(users), 30)))
    for name in ("ease", "ials"):
        scores = baselines.BASELINES[name](cold, 1)(np.array([0, 1]))
        np.testing.assert_array_equal(scores[0], baselines.popularity(cold, 1)(np.array([0]))[0])
        assert not np.array_equal(scores[0], scores[1])


def test_every_ablation_changes_one_value_of_the_default_configuration():
    config = load_config("movielens-csv", data__directory=".")
    default = config.model_dump()
    for part, (key, value) in ablations.ABLATIONS.items():
        section, name = key.split(".")
        changed = ablations.changed(config, key, value).model_dump()
        assert changed[section][name] == value != default[section][name] or part == "nothing"
        assert {k for k in default if default[k] != changed[k]} <= {section}
