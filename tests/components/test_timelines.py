"""Order, duplicates, splits and examples on a few rows whose right answer is known."""

import numpy as np
import pyarrow as pa
import pytest

from components.interaction_gen import timelines
from components.interaction_gen.executor import _cut
from components.interaction_gen.settings import Split
from models.features.feature_set import FeatureSet
from models.features.kinds import Category, Number

FEATURES = FeatureSet(context={"device": Category(), "hour": Number()}).of_interactions()


def ordered(*rows):
    """Rows of user, item and second, in one file and in lines by their order, where a fourth part says nothing else."""
    fields = [
        {"user_id": user, "item_id": item, "timestamp": time, "rating": 3.0, "file": 0, "line": line} | dict(*more)
        for line, (user, item, time, *more) in enumerate(rows)
    ]
    return timelines.order(pa.Table.from_pylist(fields))


def of_counts(*counts):
    """Users with so many rows each, of items that count up from 0."""
    return ordered(*[(f"u{user}", str(t), t + 1) for user, count in enumerate(counts) for t in range(count)])


def places(found):
    return [(row["user_id"], row["item_id"], row["timestamp"]) for row in found.rows.to_pylist()]


def test_rows_are_ordered_by_user_time_file_and_line():
    found = ordered(
        ("b", "1", 5),
        ("a", "2", 9),
        ("a", "3", 7, {"file": 1, "line": 0}),
        ("a", "4", 7, {"line": 8}),
        ("a", "5", 7, {"line": 7}),
        ("é", "6", 1),
    )
    assert places(found) == [("a", "5", 7), ("a", "4", 7), ("a", "3", 7), ("a", "2", 9), ("b", "1", 5), ("é", "6", 1)]
    assert (found.user.tolist(), found.users.to_pylist()) == ([0, 0, 0, 0, 1, 2], ["a", "b", "é"])
    assert found.time.tolist() == [7, 7, 7, 9, 5, 1]
    kept = found.filter(found.time == 7)
    assert (len(kept.rows), kept.user.tolist(), kept.users.to_pylist()) == (3, [0, 0, 0], ["a", "b", "é"])


def test_a_duplicate_names_the_first_row_of_the_same_user_item_and_second():
    found = ordered(
        ("u", "a", 5, {"line": 9}),
        ("u", "b", 5, {"line": 5}),
        ("u", "a", 5, {"line": 2}),
        ("u", "a", 5, {"file": 1, "line": 2}),
        ("u", "a", 6),
        ("v", "a", 5),
    )
    assert timelines.duplicates(found).tolist() == [-1, -1, 0, 0, -1, -1]
    assert found.rows["line"].to_pylist()[:4] == [2, 5, 9, 2]
    assert timelines.duplicates(found.filter(np.zeros(6, bool))).tolist() == []


def test_chronological_split_holds_out_the_last_fifth_of_each_user():
    counts = (1, 2, 3, 7, 8, 10)
    in_eval = timelines.eval_mask(of_counts(*counts), Split(), None)
    held_out = dict(zip(counts, (0, 0, 1, 1, 2, 2), strict=True))
    assert in_eval.tolist() == [t >= count - held_out[count] for count in counts for t in range(count)]


def test_random_split_depends_on_seed_user_item_and_second_alone():
    rows = [(f"u{n % 7}", f"i{n % 11}", 1000 + n) for n in range(400)]
    split = Split(kind="random", eval_share=0.5)

    def held_out(rows, split=split):
        found = ordered(*rows)
        mask = timelines.eval_mask(found, split, None)
        return {place for place, one in zip(places(found), mask, strict=True) if one}

    whole = held_out(rows)
    assert held_out(rows[::-1]) == whole, "not on the order of the source"
    assert held_out(rows[:100]) == whole & set(rows[:100]), "not on other rows"
    assert held_out(rows, Split(kind="random", eval_share=0.5, seed=1)) != whole
    for change in (
        lambda user, item, time: (f"{user}.", item, time),
        lambda user, item, time: (user, f"{item}.", time),
        lambda user, item, time: (user, item, time + 1000),
    ):
        same = sum((change(*row) in held_out([change(*one) for one in rows])) == (row in whole) for row in rows[:40])
        assert 5 < same < 35, "as independent as two coins"


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_random_split_holds_out_about_the_share_of_each_user(share):
    found = of_counts(2000, 2000, 2000)
    mask = timelines.eval_mask(found, Split(kind="random", eval_share=share), None)
    for user in range(3):
        assert mask[found.user == user].mean() == pytest.approx(share, abs=4 * (share * (1 - share) / 2000) ** 0.5)


def test_global_cut_is_on_the_hour_and_leaves_the_share():
    hours = [(10, 60), (11, 20), (12, 15), (13, 5)]
    assert _cut(hours, 0.2) == 12 * 3600
    found = ordered(("u", "a", 12 * 3600 - 1), ("u", "b", 12 * 3600), ("v", "c", 12 * 3600 + 1))
    assert timelines.eval_mask(found, Split(kind="global_temporal"), 12 * 3600).tolist() == [False, True, True]


def test_a_user_is_an_example_with_parallel_lists_in_which_missing_values_have_a_stand_in():
    context = [{"device": "tv", "hour": 3.0}, {"device": None, "hour": None}, {"device": "web", "hour": 4.0}]
    found = ordered(*[(user, user * 2, n + 1, context[n]) for n, user in enumerate("bab")])
    columns, user = timelines.examples(found, FEATURES, history_length=2)
    assert user.tolist() == [0, 1]
    hours = columns.pop("hour").to_pylist()
    assert hours[1] == [3.0, 4.0] and np.isnan(hours[0]).tolist() == [True]
    assert {name: column.to_pylist() for name, column in columns.items()} == {
        "item_id": [["aa"], ["bb", "bb"]],
        "timestamp": [[2], [1, 3]],
        "rating": [[3.0], [3.0, 3.0]],
        "device": [[""], ["tv", "web"]],
        "overlap": [0, 0],
    }


@pytest.mark.parametrize("history_length", [1, 2, 3, 9])
def test_a_long_timeline_becomes_examples_of_bounded_length_that_overlap(monkeypatch, history_length):
    monkeypatch.setattr(timelines, "LONGEST", 4)
    counts = (3, 4, 5, 11)
    features = FeatureSet().of_interactions()
    columns, user = timelines.examples(of_counts(*counts), features, history_length)
    rows = list(zip(columns["timestamp"].to_pylist(), columns["overlap"].to_pylist(), user.tolist(), strict=True))
    for number, count in enumerate(counts):
        known = []
        for times, overlap, owner in rows:
            if owner == number:
                assert times[:overlap] == (known[-history_length:] if known else [])
                assert overlap < len(times) <= max(4, history_length + 1)
                known += times[overlap:]
        assert known == [*range(1, count + 1)]
    assert columns["item_id"].to_pylist() == [[str(t - 1) for t in times] for times, _, _ in rows]
    assert user.tolist() == sorted(user.tolist())


def test_users_without_rows_have_no_example():
    found = of_counts(2, 3, 1)
    columns, user = timelines.examples(found.filter(found.user == 1), FeatureSet().of_interactions(), 5)
    assert (user.tolist(), columns["timestamp"].to_pylist()) == ([1], [[1, 2, 3]])
