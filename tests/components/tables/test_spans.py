"""Which delivery of the data a run takes."""

import pytest

from components.tables.settings import InteractionTable, Table, Tables
from components.tables.spans import Window, of_names, resolve
from models.errors import UserError


@pytest.fixture
def parent(tmp_path):
    for name in ("day-9", "day-10", "day-2.tmp", "other-11"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_numbers_are_compared_by_value(parent):
    assert resolve(f"{parent}/day-{{span}}/tables", "latest") == ((f"{parent}/day-10/tables",), ("10",), ())


def test_dates_are_compared_part_by_part(parent):
    for date in ("2026-11-24", "2026-9-30"):
        (parent / date).mkdir()
    assert resolve(f"{parent}/{{span}}", "latest").name == "2026-11-24"


def test_a_span_that_is_given_is_not_looked_for(parent):
    assert resolve(f"{parent}/day-{{span}}", "12") == ((f"{parent}/day-12",), ("12",), ())


def test_without_a_place_the_span_is_ignored(parent):
    assert resolve(str(parent), "12") == Window((str(parent),))
    assert resolve(str(parent), "12").name == ""


@pytest.mark.parametrize(
    ("span", "window", "expected"),
    [("latest", 2, ["9", "10"]), ("latest", 9, ["3", "9", "10"]), ("9", 2, ["3", "9"]), ("11", 2, ["10", "11"])],
)
def test_a_window_is_the_spans_up_to_one_as_many_as_there_are(parent, span, window, expected):
    (parent / "day-3").mkdir()
    found = resolve(f"{parent}/day-{{span}}", span, window)
    assert found.spans == tuple(expected)
    assert found.directories == tuple(f"{parent}/day-{name}" for name in expected)


def test_a_window_needs_a_place_for_the_span(parent):
    with pytest.raises(UserError, match=r"data.window is 2, so the directory needs \{span\}"):
        resolve(str(parent), "latest", 2)


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        ("2026-02-27 2026-02-28 2026-03-01", ""),
        ("2026-02-27 2026-02-28 2026-03-02", "between 2026-02-28 and 2026-03-02"),
        ("20261230 20261231 20270102", "between 20261231 and 20270102"),
        ("2026-10 2026-11 2027-01", "between 2026-11 and 2027-01"),
        ("2026-11-02 2026-11-09 2026-11-16", ""),
        ("7 8 10 11", "between 8 and 10"),
        ("first second fourth", ""),
        ("2026-11-02", ""),
    ],
)
def test_what_is_missing_between_spans_is_said(names, missing):
    assert "; ".join(of_names("/{span}", names.split()).missing) == missing


def test_interactions_are_of_all_spans_and_other_tables_of_the_newest_that_has_them(tmp_path):
    for span, names in (("1", ("events.csv", "items.csv")), ("2", ("events.csv", "items.csv")), ("3", ("events.csv",))):
        (tmp_path / span).mkdir()
        for name in names:
            (tmp_path / span / name).write_text("")
    window = resolve(f"{tmp_path}/{{span}}", "latest", 3)
    events = InteractionTable(file="events.csv", columns={"user_id": "u", "item_id": "i", "timestamp": "t"})
    data = Tables(interactions=events)
    of_all = [f"{tmp_path}/{span}/events.csv" for span in "123"]
    assert window.files(events, data) == of_all
    assert window.files(Table(file="items.csv", columns={"item_id": "i"}), data) == [f"{tmp_path}/2/items.csv"]
    assert window.files(Table(file="users.csv", columns={"user_id": "u"}), data) == []
    assert window.files(Table(file="events.csv", columns={"item_id": "i"}), data) == of_all, (
        "what the rows say of items"
    )
    (tmp_path / "2" / "events.csv").unlink()
    with pytest.raises(UserError, match=r"2/events\.csv: no such file, while other spans of the window have it"):
        window.files(events, data)


@pytest.mark.parametrize("location", ["{}/week-{{span}}", "{}/nowhere/{{span}}"])
def test_no_span_is_an_error(parent, location):
    with pytest.raises(UserError, match=r"no name there fits \{span\}"):
        resolve(location.format(parent), "latest")
