"""Histories, and batches of queries, against plain Python over lists."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from models.features.feature_set import Histories
from models.queries import Queries, in_order, model_batch, shuffled
from models.timelines import Timelines


def timelines(users):
    """Transformed ones of {user: [(item, time), ...]}, the earliest first; `place` numbers all rows."""
    rows = [row for user in users.values() for row in sorted(user, key=lambda row: row[1])]
    items, times = np.array([*zip(*rows, strict=True)] or [[], []], np.int64)
    return Timelines(
        users={"user_id": np.array([*users], np.int64), "age": np.array([10.0 * user for user in users], np.float32)},
        starts=np.cumsum([0, *map(len, users.values())]),
        rows={"item_id": items, "timestamp": times, "moment": times % 7, "place": np.arange(len(rows))},
    )


def found(queries, rows=None):
    """The histories of some or all rows, as lists of (item, time)."""
    batch = queries.at(tf.range(queries.rows, dtype=tf.int64) if rows is None else tf.constant(rows, tf.int64))
    pairs = zip(batch["history_item_id"].numpy(), batch["history_timestamp"].numpy(), strict=True)
    return [[(item, time) for item, time in zip(*pair, strict=True) if item >= 0] for pair in pairs]


def expected(train, rule, asked=None):
    """What each row's history has to be, from the definition."""
    histories = []
    for user, rows in (train if asked is None else asked).items():
        known = sorted(train.get(user, []), key=lambda row: row[1])
        for place, (item, moment) in enumerate(sorted(rows, key=lambda row: row[1])):
            past = place if asked is None else len(known)
            if asked is not None and rule.both_sides:
                past = sum(time < moment for _, time in known)
            kept = known[max(0, past - rule.known) : past]
            if rule.both_sides:  # Of as many on each side those that are nearest, the earliest first, in order of time.
                kept = kept + known[past + (asked is None) :][: rule.known]
                nearest = sorted(range(len(kept)), key=lambda one: (abs(kept[one][1] - moment), one))[: rule.known]
                kept = [kept[one] for one in sorted(nearest)]
            histories.append([row for row in reversed(kept) if rule.repeats or row[0] != item])
    return histories


TRAIN = {7: [(1, 10), (2, 20), (3, 30), (1, 40), (4, 50)], 8: [], 9: [(2, 15), (5, 16)]}


def test_a_history_is_the_most_recent_rows_before_without_the_item_itself():
    assert found(Queries(timelines(TRAIN), Histories(length=3))) == [
        [],
        [(1, 10)],
        [(2, 20), (1, 10)],
        [(3, 30), (2, 20)],
        [(1, 40), (3, 30), (2, 20)],
        [],
        [(2, 15)],
    ]


def test_where_items_repeat_they_stay_in_the_histories_of_their_later_rows():
    histories = found(Queries(timelines(TRAIN), Histories(length=3, repeats=True)))
    assert histories[3] == [(3, 30), (2, 20), (1, 10)]
    assert histories[0] == [], "never the row itself"


def test_an_eval_row_has_the_last_train_rows_and_no_other_eval_row():
    asked = timelines({7: [(6, 60), (7, 70)], 9: [(2, 99)]})
    queries = Queries(timelines(TRAIN), Histories(length=2), asked)
    assert found(queries) == [[(4, 50), (1, 40)], [(4, 50), (1, 40)], [(5, 16)]]
    assert queries.train_rows.tolist() == [5, 5, 2]


def test_an_unknown_user_has_no_history():
    for both_sides in (False, True):
        queries = Queries(timelines(TRAIN), Histories(both_sides=both_sides), timelines({5: [(1, 60)], 8: [(2, 70)]}))
        assert found(queries) == [[], []]
        assert queries.train_rows.tolist() == [0, 0]


def test_held_out_at_random_the_nearest_on_both_sides_count_and_of_equal_ones_the_earliest():
    rule = Histories(length=2, both_sides=True)
    train = {7: [(1, 1), (2, 2), (51, 51), (100, 100)]}
    assert found(Queries(timelines(train), rule)) == [
        [(51, 51), (2, 2)],
        [(51, 51), (1, 1)],
        [(100, 100), (2, 2)],
        [(51, 51), (2, 2)],
    ]
    asked = timelines({7: [(50, 50), (9, 51), (60, 76)]})
    assert found(Queries(timelines(train), rule, asked)) == [
        [(51, 51), (2, 2)],
        [(51, 51), (2, 2)],
        [(100, 100), (51, 51)],
    ]
    tie = Histories(length=1, both_sides=True)
    assert found(Queries(timelines({7: [(1, 10), (2, 20), (3, 30)]}), tie))[1] == [(1, 10)]


ROWS = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 12)), max_size=9)
USERS = st.dictionaries(st.integers(0, 3), ROWS, max_size=4)
RULES = st.builds(Histories, length=st.integers(1, 5), both_sides=st.booleans(), repeats=st.booleans())


@settings(max_examples=150, deadline=None)
@given(USERS, USERS, RULES)
def test_all_histories_are_as_defined(train, held_out, rule):
    known = timelines(train)
    assert found(Queries(known, rule)) == expected(train, rule)
    assert found(Queries(known, rule, timelines(held_out))) == expected(train, rule, held_out)


@pytest.mark.parametrize("both_sides", [False, True])
def test_a_batch_gives_what_its_rows_give_alone(both_sides):
    queries = Queries(timelines(TRAIN), Histories(length=4, both_sides=both_sides))
    assert [found(queries, [row])[0] for row in range(7)] == found(queries)
    assert found(queries, [6, 2, 2]) == [found(queries)[row] for row in (6, 2, 2)]


def test_a_query_has_what_its_user_and_its_row_have():
    batch = Queries(timelines(TRAIN), Histories()).at(tf.constant([6, 1], tf.int64))
    assert batch["user_id"].numpy().tolist() == [9, 7]
    assert batch["age"].numpy().tolist() == [90, 70]
    assert batch["item_id"].numpy().tolist() == [5, 2]
    assert batch["timestamp"].numpy().tolist() == [16, 20]


def test_a_model_is_told_distances_in_time_and_no_times():
    batch = model_batch(Queries(timelines(TRAIN), Histories(length=3)).at(tf.constant([4, 0], tf.int64)))
    assert batch["history_gap"].numpy()[0] == pytest.approx(np.log1p([10, 20, 30]))
    assert batch["history_gap"].numpy()[1].tolist() == [-1, -1, -1]
    assert "timestamp" not in batch and "history_timestamp" not in batch


def test_raw_histories_are_filled_up_with_empty_texts():
    rows = timelines(TRAIN).rows
    rows["item_id"] = np.array([b"%d" % item for item in rows["item_id"]])
    raw, asked = (
        Timelines({"user_id": np.array(users)}, timelines(TRAIN).starts, rows)
        for users in ([b"g", b"h", b"i"], [b"h", b"new", b"g"])
    )
    batch = Queries(raw, Histories(length=2), asked).at(tf.constant([0, 5], tf.int64))
    assert batch["history_item_id"].numpy().tolist() == [[b"", b""], [b"4", b"1"]]
    assert batch["history_timestamp"].numpy().tolist() == [[0, 0], [50, 40]]


def places(batches):
    return [batch["place"].numpy().tolist() for batch in batches]


MANY = timelines({user: [(item, item + 1) for item in range(5 + user)] for user in range(6)})  # 45 rows.


def test_an_epoch_holds_every_row_once_and_each_epoch_is_in_another_order():
    queries = Queries(MANY, Histories())
    batches = np.array(places(shuffled(queries, 9, epochs=3, seed=1)))
    assert batches.shape == (15, 9)
    orders = batches.reshape(3, 45)
    assert (np.sort(orders, axis=1) == np.arange(45)).all()
    assert len({tuple(order) for order in [*orders.tolist(), range(45)]}) == 4
    assert len(set(queries.user[orders[0, :9]])) > 1, "rows are shuffled, not users"


def test_the_seed_decides_the_order():
    orders = [places(shuffled(Queries(MANY, Histories()), 9, epochs=1, seed=seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_rows_that_fill_no_batch_are_left_out_and_none_comes_twice():
    batches = places(shuffled(Queries(MANY, Histories()), 10, epochs=2, seed=3))
    assert [*map(len, batches)] == [10] * 8
    epochs = [{row for batch in batches[start : start + 4] for row in batch} for start in (0, 4)]
    assert [*map(len, epochs)] == [40, 40] and epochs[0] != epochs[1]


def test_in_order_all_rows_come_from_the_first_on_or_as_many_as_wanted():
    queries = Queries(MANY, Histories())
    assert places(in_order(queries, 20)) == [[*range(20)], [*range(20, 40)], [*range(40, 45)]]
    assert places(in_order(queries, 20, 25)) == [[*range(20)], [*range(20, 25)]]
    assert places(in_order(queries, 20, 99)) == places(in_order(queries, 20))
