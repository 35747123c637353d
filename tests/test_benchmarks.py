"""The benchmark's measurements on data whose answer is known."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse

from benchmarks.quality import ablations, baselines
from benchmarks.quality.dataset import Dataset, load_dataset
from benchmarks.quality.measure import measure, middle_ranks
from benchmarks.scale import pipeline
from models.features.feature_set import FeatureSet
from pipeline.config import load_config
from tests.models.conftest import write, write_timelines


def test_the_pipelines_examples_are_read_as_pairs(tmp_path):
    features = FeatureSet(rated=False)
    train = [
        {"user_id": "b", "rows": [("y", 1_000), ("x", 2_000)]},
        {"user_id": "b", "overlap": 1, "rows": [("x", 2_000), ("y", 3_000)]},
        {"user_id": "a", "rows": [("x", 4_000)]},
    ]
    held_out = [{"user_id": "c", "rows": [("z", 6_000)]}, {"user_id": "a", "rows": [("y", 5_000), ("x", 7_000)]}]
    for split, timelines in (("train", train), ("eval", held_out)):
        write_timelines(tmp_path / f"Split-{split}" / "data.gz", timelines, features)
    write(tmp_path / "Split-items" / "data.gz", [{"item_id": item} for item in "wzyx"], features.of_items())
    data = load_dataset(str(tmp_path), str(tmp_path), repeats=False)
    assert data.users.tolist() == [b"a", b"b", b"c"] and data.items.tolist() == [b"w", b"x", b"y", b"z"]
    assert [values.tolist() for values in data.train_pairs] == [[1, 1, 1, 0], [2, 1, 2, 1]]
    assert data.train.toarray().tolist() == [[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert data.eval_users.tolist() == [0, 0, 2] and data.eval_items.tolist() == [2, 1, 3]
    assert data.warm.tolist() == [True, True, False]


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


def test_what_was_had_is_left_in_where_items_repeat():
    data = checkerboard()
    again = dataclasses.replace(data, eval_users=data.train_pairs[0], eval_items=data.train_pairs[1])
    scores = again.train.toarray()
    assert measure(again, lambda users: scores[users])["filtered_top_50_categorical_accuracy"] == 0
    again = dataclasses.replace(again, repeats=True)
    assert measure(again, lambda users: scores[users])["filtered_top_10_categorical_accuracy"] == 1


def test_an_item_that_comes_twice_is_relevant_once():
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


def measured_run(interactions, seconds, peak):
    """As `benchmark pipeline` keeps one: every component takes the same time and memory."""
    names = [*pipeline.ON_BEAM, "Trainer.ranking"]
    return {
        "interactions": interactions,
        "total": 10 * seconds,
        "seconds": dict.fromkeys(names, seconds),
        "cpu": dict.fromkeys(names, 2 * seconds),
        "disk": 25 * interactions,
        "peak": 2 * pipeline._GIB,
        "peaks": dict.fromkeys(names, 100) | {"Transform": peak, "Evaluator": 50 * peak},
    }


def test_ratios_of_runs_of_two_sizes():
    found = {1_000: measured_run(1_000, 3.0, 100), 11_000: measured_run(11_000, 3.03, 120)}
    found[11_000]["peaks"]["Evaluator"] = 10**6  # It holds the servable.
    ratios = {target: value for target, value in pipeline._ratios(found, measured_run(11_000, 1.01, 100))}
    assert ratios == pytest.approx(
        {
            pipeline._TIME: 1.01 / 11,
            pipeline._PEAK: 2,
            pipeline._GROWTH: 1.2,
            pipeline._DISK: 25,
            pipeline._WORKERS: 3,
            pipeline._CPU: 5 * 2 * 0.03 / 10_000 * 1e6,
        }
    )
    one_size = {1_000: found[1_000]}
    assert pipeline._CPU not in dict(pipeline._ratios(one_size, found[1_000])), "there is no slope"
