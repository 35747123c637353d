"""Splits and histories on a few rows whose right answer is known."""

import pytest

from components.interaction_gen import histories
from components.interaction_gen.executor import _cut
from components.interaction_gen.settings import Split


def row(timestamp, item, line=None):
    return histories.Interaction(timestamp, "f", timestamp if line is None else line, item, 3.0, {})


ROWS = [row(t, f"m{t}") for t in range(1, 11)]


def examples(rows, eval_rows, split):
    return [
        (one.item_id, in_eval, [other.item_id for other in history])
        for one, in_eval, history in histories.with_history(rows, eval_rows, split)
    ]


def test_duplicates_keep_the_first_line_and_name_it():
    rows = [row(5, "a", line=9), row(5, "a", line=2), row(6, "a", line=3)]
    kept, duplicates = histories.without_duplicates(rows)
    assert [one.line for one in kept] == [2, 3]
    assert [(one.line, first.line) for one, first in duplicates] == [(9, 2)]


def test_a_duplicate_on_the_same_line_of_another_file_is_one():
    rows = [row(5, "a", line=2)._replace(file=file) for file in ("second.csv", "first.csv")]
    kept, duplicates = histories.without_duplicates(rows)
    assert [one.file for one in kept] == ["first.csv"]
    assert duplicates == [(rows[0], rows[1])]


def test_chronological_split_holds_out_the_last_fifth():
    eval_rows = histories.eval_mask("u", ROWS, Split(), None)
    assert eval_rows == [False] * 8 + [True] * 2


@pytest.mark.parametrize(("rows", "in_eval"), [(1, 0), (2, 0), (3, 1), (7, 1), (8, 2)])
def test_chronological_split_rounds(rows, in_eval):
    assert sum(histories.eval_mask("u", ROWS[:rows], Split(), None)) == in_eval


def test_chronological_history_ends_before_the_row_and_holds_no_test_row():
    split = Split(history_length=3)
    eval_rows = histories.eval_mask("u", ROWS, split, None)
    got = examples(ROWS, eval_rows, split)
    assert got[0] == ("m1", False, [])
    assert got[2] == ("m3", False, ["m2", "m1"])
    assert got[7] == ("m8", False, ["m7", "m6", "m5"])
    assert got[8] == ("m9", True, ["m8", "m7", "m6"])
    assert got[9] == ("m10", True, ["m8", "m7", "m6"]), "m9 is an eval row"


def test_random_history_takes_the_nearest_on_both_sides_most_recent_first():
    split = Split(kind="random", history_length=2)
    rows = [row(t, f"m{t}") for t in (1, 2, 50, 51, 100)]
    eval_rows = [False, False, True, False, False]
    got = examples(rows, eval_rows, split)
    assert got[0] == ("m1", False, ["m51", "m2"])
    assert got[2] == ("m50", True, ["m51", "m2"])
    assert got[4] == ("m100", False, ["m51", "m2"])


def test_random_split_does_not_depend_on_the_order_of_the_source():
    split = Split(kind="random", eval_share=0.5)
    moved = [one._replace(line=100 - one.line) for one in ROWS]
    assert histories.eval_mask("u", ROWS, split, None) == histories.eval_mask("u", moved, split, None)
    assert 0 < sum(histories.eval_mask("u", ROWS, split, None)) < len(ROWS)


def test_a_history_never_holds_the_item_itself():
    rows = [row(1, "a"), row(2, "b"), row(3, "a")]
    assert examples(rows, [False] * 3, Split())[2] == ("a", False, ["b"])


def test_global_cut_is_on_the_hour_and_leaves_the_share():
    hours = [(10, 60), (11, 20), (12, 15), (13, 5)]
    assert _cut(hours, 0.2) == 12 * 3600
    assert histories.eval_mask(
        "u", [row(12 * 3600 - 1, "a"), row(12 * 3600, "b")], Split(kind="global_temporal"), 12 * 3600
    ) == [
        False,
        True,
    ]


@pytest.mark.parametrize("kind", ["per_user_chronological", "random"])
def test_a_user_of_many_interactions_has_bounded_histories(kind):
    split = Split(kind=kind, history_length=3)
    rows = [row(t, f"m{t}") for t in range(1, 5_001)]
    eval_rows = histories.eval_mask("u", rows, split, None)
    found = examples(rows, eval_rows, split)
    assert len(found) == 5_000 and max(len(history) for _, _, history in found) == 3
    if kind == "per_user_chronological":
        assert found[-1] == ("m5000", True, ["m4000", "m3999", "m3998"]), "the last train rows"
    else:
        middle = found[2_500][2]
        assert len(middle) == 3 and all(abs(int(item[1:]) - 2_501) < 20 for item in middle), "the nearest in time"
