"""What a query knows, and which rows are asked about."""

import zlib

import numpy as np
import pytest

from benchmarks.quality.dataset import FROZEN, LIVE, load_dataset
from models.features.feature_set import FeatureSet
from tests.benchmarks.conftest import checkerboard, dataset
from tests.models.conftest import write, write_timelines

TRAIN = [
    {"user_id": "b", "rows": [("y", 1_000), ("x", 2_000)]},
    {"user_id": "b", "overlap": 1, "rows": [("x", 2_000), ("y", 3_000)]},
    {"user_id": "a", "rows": [("x", 4_000)]},
]
EVAL = [{"user_id": "c", "rows": [("z", 6_000)]}, {"user_id": "a", "rows": [("y", 5_000), ("x", 7_000)]}]


@pytest.fixture
def examples(tmp_path):
    features = FeatureSet(rated=False)
    for split, timelines in (("train", TRAIN), ("eval", EVAL)):
        write_timelines(tmp_path / f"Split-{split}" / "data.gz", timelines, features)
    write(tmp_path / "Split-items" / "data.gz", [{"item_id": item} for item in "wzyx"], features.of_items())
    return str(tmp_path)


def test_the_pipelines_examples_are_read(examples):
    data, item_ids, places = load_dataset(examples, examples, "global_temporal", repeats=False, max_queries=100)
    assert item_ids.tolist() == [b"w", b"x", b"y", b"z"] and (data.users, data.items) == (3, 4)
    assert [values.tolist() for values in data.train] == [[0, 1, 1, 1], [1, 2, 1, 2], [4_000, 1_000, 2_000, 3_000]]
    assert data.matrix.toarray().tolist() == [[0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert places.tolist() == [1, 2, 0], "of each query among the eval rows, as the files have them"
    asked = data.asked[LIVE]
    assert asked.user.tolist() == [0, 0, 2] and asked.item.tolist() == [2, 1, 3]
    assert asked.time.tolist() == [5_000, 7_000, 6_000]
    assert history(asked) == [[1], [1, 2], []] and history(data.asked[FROZEN]) == [[1], [1], []]


def test_all_rows_of_some_users_are_asked_about(examples):
    shares = {user: zlib.crc32(b"asked|" + name) / 2**32 for user, name in ((0, b"a"), (2, b"c"))}
    for max_queries in (1, 2, 3):
        data = load_dataset(examples, examples, "random", False, max_queries).data
        assert [*data.asked] == [FROZEN]
        expected = {user for user, share in shares.items() if share < max_queries / 3}
        assert {*data.asked[FROZEN].user.tolist()} == expected, "as the Evaluator's hash says"
        assert len(data.asked[FROZEN]) == sum({0: 2, 2: 1}[user] for user in expected)


def history(queries):
    """The items of each query's history."""
    query, place = queries.entries()
    return [queries.log.item[place[query == number]].tolist() for number in range(len(queries))]


def test_live_histories_hold_eval_rows_before_the_moment_and_none_after():
    train = [(0, 1, 10), (0, 2, 20), (1, 3, 10)]
    held_out = [(0, 3, 30), (0, 4, 40), (0, 5, 40), (0, 1, 50), (2, 6, 40), (2, 7, 60)]
    data = dataset(train, held_out, 8, "global_temporal")
    assert history(data.asked[FROZEN]) == [[1, 2]] * 4 + [[], []]
    assert history(data.asked[LIVE]) == [[1, 2], [1, 2, 3], [1, 2, 3, 4], [1, 2, 3, 4, 5], [], [6]]
    assert data.asked[LIVE].repeated().tolist() == [False, False, False, True, False, False]


def test_some_queries_keep_their_histories():
    data = dataset([(0, 1, 1), (1, 2, 1), (1, 3, 2)], [(0, 4, 5), (1, 5, 6)], 6)
    assert history(data.asked[FROZEN].at(np.array([1, 0]))) == [[2, 3], [1]]


def test_the_latest_entries_are_not_after_the_query():
    data = dataset([(0, 1, 10), (0, 2, 20), (0, 3, 30), (1, 4, 10)], [(0, 5, 20), (0, 6, 40), (2, 7, 1)], 8, "random")
    asked = data.asked[FROZEN]
    latest = [[int(asked.log.item[place]) for place in row if place >= 0] for row in asked.latest(2)]
    assert latest == [[2, 1], [3, 2], []]


@pytest.mark.parametrize("split", ["per_user_chronological", "random", "global_temporal"])
def test_a_fifth_of_train_is_asked_in_validation(split):
    data = checkerboard(users=100, split=split)
    part = data.validation
    assert [*part.asked] == [*data.asked]
    asked = part.asked[FROZEN]
    assert len(asked) + len(part.train.user) == len(data.train.user)
    assert len(asked) / len(data.train.user) == pytest.approx(0.2, abs=0.04)
    pairs = {*zip(data.train.user.tolist(), data.train.item.tolist(), strict=True)}
    assert {*zip(asked.user.tolist(), asked.item.tolist(), strict=True)} < pairs, "no eval row is among them"
    times = part.train.time
    if split == "per_user_chronological":
        assert times.max() < asked.time.min()
    if split == "global_temporal":
        assert times.max() <= asked.time.min()


def test_validation_asks_about_5000_rows_at_most():
    part = checkerboard(users=3_000).validation
    assert len(part.asked[FROZEN]) == 5_000 and len(part.train.user) == 3_000 * 10
    assert history(part.asked[FROZEN].at(np.array([0])))[0] == part.train.item[part.train.user == 0].tolist()
