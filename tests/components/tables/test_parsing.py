"""Which rows count, which are left out, which are rejected, and what their values come to."""

import datetime
import re

import numpy as np
import pyarrow as pa
import pytest

from components.tables import parsing
from components.tables.reading import Rows
from components.tables.settings import EntityTable, InteractionTable
from pipeline.config import load_config

GOOD = {"user_id": "1", "item_id": "2", "rating": "3.5", "timestamp": "100"}
COLUMNS = {name: name for name in GOOD}


def as_rows(*rows):
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    return Rows("file", np.arange(2, 2 + len(rows)), columns, [])


def interactions(*rows, columns=COLUMNS, **layout):
    return parsing.interactions(as_rows(*rows), InteractionTable(file="rows.csv", columns=columns, **layout))


def entities(table, *rows):
    return parsing.entities(as_rows(*rows), table, "item_id")


def lines(parsed):
    return parsed.rows.column("line").to_pylist()


def seconds(texts, **time):
    """Unix seconds of each text, or the reason for which its row is rejected."""
    parsed = interactions(*[GOOD | {"timestamp": text} for text in texts], timestamp=time)
    found = dict(zip(lines(parsed), parsed.rows.column("timestamp").to_pylist(), strict=True))
    found |= {row.line: row.reason for row in parsed.rejected}
    return [found[line] for line in range(2, 2 + len(texts))]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("user_id", "", "missing user_id"),
        ("item_id", "", "missing item_id"),
        ("rating", "", "missing rating"),
        ("rating", "good", "rating 'good' is not a number"),
        ("rating", "nan", "rating 'nan' is not a number"),
        ("timestamp", "yesterday", "timestamp 'yesterday' is not a number"),
        ("timestamp", "0.5", "timestamp '0.5' is not after the beginning of 1970"),
        ("timestamp", "-1", "timestamp '-1' is not after the beginning of 1970"),
        ("timestamp", "1500000000000", "timestamp '1500000000000' is past the year 3000"),
    ],
)
def test_a_bad_field_gives_its_reason(field, value, reason):
    parsed = interactions(GOOD, GOOD | {field: value})
    assert parsed.rows.to_pylist() == [{"user_id": "1", "item_id": "2", "rating": 3.5, "timestamp": 100, "line": 2}]
    ((file, line, cause, found, row),) = parsed.rejected
    assert (file, line, found) == ("file", 3, reason)
    assert cause == re.sub(" '.*?'", "", reason), "what many rows share"
    assert row == ",".join((GOOD | {field: value}).values())


def test_the_first_reason_counts_and_each_row_is_rejected_once():
    parsed = interactions(GOOD | {"item_id": "", "rating": "x", "timestamp": "y"})
    assert [row.reason for row in parsed.rejected] == ["missing item_id"]


def test_a_field_that_is_required_leaves_rows_out_and_rejects_none():
    parsed = interactions(GOOD | {"rating": ""}, GOOD, GOOD | {"rating": "x"}, require=["rating"])
    assert (lines(parsed), parsed.left_out) == ([3], {"no rating": 1})
    assert [row.reason for row in parsed.rejected] == ["rating 'x' is not a number"]


def test_a_condition_leaves_rows_out_and_rejects_only_what_is_no_number():
    rows = [GOOD | {"where:price": price} for price in ("1", "2", "9", "10", "", "cheap")]
    parsed = interactions(*rows, where={"price": {"above": 1, "at_most": 9}})
    assert (lines(parsed), [row.line for row in parsed.rejected]) == ([3, 4], [7])
    assert parsed.left_out == {"price is not above 1": 2, "price is not at most 9": 1}
    parsed = interactions(*rows, where={"price": {"one_of": ["9", "cheap"]}})
    assert (lines(parsed), parsed.left_out, parsed.rejected) == ([4, 7], {"price is not one of 9, cheap": 4}, [])


def test_events_of_kinds_that_are_not_named_are_left_out_and_missing_ones_rejected():
    rows = [GOOD | {"event": event} for event in ("view", "click", "buy", "", "click")]
    columns = COLUMNS | {"event": "event"}
    parsed = interactions(*rows, columns=columns, events={"view": 1, "buy": 5})
    assert parsed.rows.column("event").to_pylist() == ["view", "buy"]
    assert parsed.left_out == {"an event of a kind that is not named in events": 2}
    assert [(row.line, row.reason) for row in parsed.rejected] == [(5, "missing event")]
    assert lines(interactions(*rows, columns=columns)) == [2, 3, 4, 6]


def test_a_context_may_be_missing_and_what_cannot_be_read_is_counted_where_the_row_counts():
    rows = [GOOD | {"device": device, "hour": hour} for device, hour in (("tv", "3"), ("", ""), ("web", "noon"))]
    rows.append(GOOD | {"user_id": "", "device": "tv", "hour": "none"})
    parsed = interactions(*rows, context={"device": {"kind": "category"}, "hour": {"kind": "number"}})
    assert parsed.rows.column("device").to_pylist() == ["tv", None, "web"]
    assert parsed.rows.column("hour").to_pylist() == [3.0, None, None]
    assert parsed.unreadable == {"device": 0, "hour": 1}
    assert parsed.present == {"device": 2, "hour": 1}


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_finer_units_are_cut_to_seconds(unit):
    one = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    assert seconds([str(one * 7), str(one * 7 + one - 1)], unit=unit) == [7, 7]
    late, zero, word = seconds([str(one * 40_000_000_000), str(one - 1), "x"], unit=unit)
    assert late.endswith("is past the year 3000") and zero.endswith("is not after the beginning of 1970")
    assert word == "timestamp 'x' is not a number"


def test_iso_times_say_their_zone_or_have_that_of_the_table():
    texts = {
        "2024-01-02T00:00:00Z": 0,
        "2024-01-02 00:00:00.999Z": 0,
        "2024-01-02T00:00:00+0130": -5400,
        "2024-01-02 00:00:00+00": 0,
        "2024-01-02T00:00-05:00": 18_000,
        "2024-01-02T00:00:00": -3600,
        "2024-01-02": -3600,
        "20240102T000000": -3600,
        "2024-01-02 00:00:00 UTC": 0,
        "2024-01-02 00:00:00 +0100": -3600,
        "2024-01-02 00:00:00,5": -3600,
    }
    start = int(datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc).timestamp())
    assert seconds([*texts], unit="iso", time_zone="Europe/Berlin") == [start + offset for offset in texts.values()]
    for wrong in ("02/01/2024", "2024-13-01", "2024", "noon", "2024-01-02T00:00 or so"):
        assert seconds([wrong], unit="iso") == [f"timestamp {wrong!r} is not a time as iso"]


def test_times_of_a_format_have_the_zone_of_the_table_unless_they_say_theirs():
    noon = int(datetime.datetime(2024, 7, 2, 12, tzinfo=datetime.timezone.utc).timestamp())
    berlin = {"time_zone": "Europe/Berlin"}
    assert seconds(["12:00 02/07/2024", "2024"], unit="%H:%M %d/%m/%Y", **berlin) == [
        noon - 7200,
        "timestamp '2024' is not a time as %H:%M %d/%m/%Y",
    ]
    assert seconds(["12:00 02-07-2024"], unit="%H:%M %d-%m-%Y", **berlin) == [noon - 7200], "-2024 is no zone"
    assert seconds(["2024-07-02 12h +0100"], unit="%Y-%m-%d %Hh %z", **berlin) == [noon - 3600]
    assert seconds(["02.07.2024 12"], unit="%d.%m.%Y %H") == [noon]


def test_times_that_clocks_skip_or_have_twice_are_the_next_and_the_first():
    after, first = (
        datetime.datetime(2024, *moment, tzinfo=datetime.timezone.utc).timestamp()
        for moment in ((3, 31, 1), (10, 27, 0, 30))
    )
    texts = ["2024-03-31T02:30", "2024-10-27T02:30"]
    assert seconds(texts, unit="iso", time_zone="Europe/Berlin") == [after, first]
    times = pa.array([datetime.datetime.fromisoformat(text) for text in texts], pa.timestamp("s"))
    assert of_times(times).rows.column("timestamp").to_pylist() == [after, first]


def of_times(times, **layout):
    """Rows of a file that has timestamps, of a table in Berlin."""
    columns = as_rows(*[GOOD] * len(times)).columns | {"timestamp": times}
    table = InteractionTable(file="rows.csv", columns=COLUMNS, timestamp={"time_zone": "Europe/Berlin"}, **layout)
    return parsing.interactions(Rows("file", np.arange(len(times)), columns, []), table)


def test_a_timestamp_that_the_file_has_as_such_says_its_zone_or_has_that_of_the_table():
    moment = datetime.datetime(2001, 9, 9, 1, 46, 40)
    for zone, expected in (("UTC", 10**9), ("America/New_York", 10**9), (None, 10**9 - 7200)):
        times = pa.array([moment, None], pa.timestamp("s", zone))
        parsed = of_times(times)
        assert parsed.rows.column("timestamp").to_pylist() == [expected]
        assert [row.reason for row in parsed.rejected] == ["missing timestamp"]
        parsed = of_times(times, require=["timestamp"])
        assert (parsed.left_out, parsed.rejected) == ({"no timestamp": 1}, [])


def test_values_are_read_by_the_kind_of_their_feature():
    features = {
        "brand": {"kind": "category"},
        "age": {"kind": "number"},
        "kinds": {"kind": "tags", "separator": ";", "empty": ["none"]},
        "image": {"kind": "vector"},
    }
    table = EntityTable(file="rows.csv", columns={"item_id": "id", "title": "t"}, features=features)
    names = ("item_id", "title", "brand", "age", "kinds", "image")
    values = [
        ("7", "A", "x", "35", "a; b;;none", "[0.5, -1, 2e3]"),
        ("8", "", "", "", "none", ""),
        ("9", "C", "y", "old", "", "1 2 x"),
        ("10", "D", "y", "nan", "c", "1;2"),
        ("", "E", "y", "1e39", "c", "1,2"),
    ]
    parsed = entities(table, *(dict(zip(names, row, strict=True)) for row in values))
    assert [tuple(row.values())[:-1] for row in parsed.rows.to_pylist()] == [
        ("7", "A", "x", 35.0, ["a", "b"], [0.5, -1.0, 2000.0]),
        ("8", "", None, None, [], None),
        ("9", "C", "y", None, [], None),
        ("10", "D", "y", None, ["c"], [1.0, 2.0]),
    ]
    assert parsed.unreadable == {"brand": 0, "age": 2, "kinds": 0, "image": 1}
    assert parsed.present == {"title": 3, "brand": 3, "age": 1, "kinds": 2, "image/2": 1, "image/3": 1}
    assert [(row.line, row.reason) for row in parsed.rejected] == [(6, "missing item_id")]


def test_movielens_100k_has_a_flag_for_each_genre():
    table = load_config("movielens-100k").data.items
    row = dict.fromkeys(table.source_columns(), "0") | {"item_id": "7", "title": "Léon (1994)"}
    parsed = entities(table, row | {"genres:Action": "1", "genres:Comedy": "1"}, row)
    assert parsed.rows.column("genres").to_pylist() == [["Action", "Comedy"], []]


def test_genres_that_mean_none_are_dropped():
    table = load_config("movielens-csv").data.items
    parsed = entities(table, {"item_id": "1", "title": "X", "genres": "(no genres listed)"})
    assert parsed.rows.column("genres").to_pylist() == [[]]
