"""Which delivery of the data a run takes."""

import pytest

from components.tables.spans import resolve
from models.errors import UserError


@pytest.fixture
def parent(tmp_path):
    for name in ("day-9", "day-10", "day-2.tmp", "other-11"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_numbers_are_compared_by_value(parent):
    assert resolve(f"{parent}/day-{{span}}/tables", "latest") == (f"{parent}/day-10/tables", "10")


def test_dates_are_compared_part_by_part(parent):
    for date in ("2026-11-24", "2026-9-30"):
        (parent / date).mkdir()
    assert resolve(f"{parent}/{{span}}", "latest") == (f"{parent}/2026-11-24", "2026-11-24")


def test_a_span_that_is_given_is_not_looked_for(parent):
    assert resolve(f"{parent}/day-{{span}}", "12") == (f"{parent}/day-12", "12")


def test_without_a_place_the_span_is_ignored(parent):
    assert resolve(str(parent), "12") == (str(parent), "")


@pytest.mark.parametrize("location", ["{}/week-{{span}}", "{}/nowhere/{{span}}"])
def test_no_span_is_an_error(parent, location):
    with pytest.raises(UserError, match=r"no name there fits \{span\}"):
        resolve(location.format(parent), "latest")
