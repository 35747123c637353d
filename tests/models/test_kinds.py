"""What fields of a table come to, by the kind of their feature."""

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.features.kinds import Category, Number, Tags, Text, Vector


def parsed(feature, *texts):
    """The values of fields, and which of the texts cannot be read."""
    values, unreadable = feature.parse(pa.array(texts, pa.string()))
    assert len(values) == len(unreadable) == len(texts)
    of = values.type.value_type if feature.is_list else values.type
    assert of == pa.type_for_alias(feature.arrow_type)
    return values.to_pylist(), [text for text, bad in zip(texts, unreadable, strict=True) if bad]


@pytest.mark.parametrize("feature", [Category(), Text()])
def test_a_text_is_itself_and_an_empty_one_is_missing(feature):
    assert parsed(feature, "a", "", " ", "Amélie, 2") == (["a", None, " ", "Amélie, 2"], [])


def test_tags_are_what_stands_between_the_separators():
    assert parsed(Tags(), "Drama|Sci-Fi ", "", "|| Drama|", "a,b") == (
        [["Drama", "Sci-Fi"], [], ["Drama"], ["a,b"]],
        [],
    )
    assert parsed(Tags(separator=", "), "a, b") == ([["a", "b"]], [])


def test_tags_that_mean_none_are_none():
    assert parsed(Tags(empty=["(none)", "-"]), "(none)", "a|-", "none") == ([[], ["a"], ["none"]], [])


def test_numbers_are_read_and_what_is_none_is_missing_and_told():
    assert parsed(Number(), "1", "-2.5", "+3", ".5", "1e3", "") == ([1, -2.5, 3, 0.5, 1000, None], [])
    values, unreadable = parsed(Number(), "7", "", "ten", "1,5", "nan", "inf", "-inf", "1e39", " ")
    assert values == [7] + [None] * 8
    assert unreadable == ["ten", "1,5", "nan", "inf", "-inf", "1e39", " "]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_every_number_that_python_writes_is_read(numbers):
    numbers = [number for number in numbers if abs(number) <= 3.4e38]
    assert parsed(Number(), *map(repr, numbers)) == (numbers, [])
    assert parsed(Number(), "no", *map(repr, numbers)) == ([None, *numbers], ["no"]), "the way that tells which"


def test_vectors_are_numbers_between_blanks_commas_and_brackets():
    texts = ["[1.0, -2, 3e1]", "1 2\n3", "1;2|3", "", "[]", " ", "0.5"]
    lists = [[1, -2, 30], [1, 2, 3], [1, 2, 3], None, None, None, [0.5]]
    assert parsed(Vector(), *texts) == (lists, [])


def test_a_vector_with_a_component_that_is_no_number_cannot_be_read():
    texts = ["1 2", "1 x", "[nan, 1]", "", "3 4"]
    assert parsed(Vector(), *texts) == ([[1, 2], None, None, None, [3, 4]], ["1 x", "[nan, 1]"])


@pytest.mark.parametrize("feature", [Category(), Tags(), Text(), Number(), Vector()])
def test_nothing_is_made_of_nothing(feature):
    assert parsed(feature) == ([], [])


def test_numbers_are_sliced_in_bands_and_texts_as_they_are():
    numbers = [-1.0, 0.0, 9.5, 10.0, 89.0, 90.0, 99.0, 100.0, 1e30, math.nan]
    bands = ["below 0", "0-9", "0-9", "10-19", "80-89", "90-99", "90-99", "100 and more", "100 and more"]
    assert Number().slices(numbers) == bands
    assert Tags().slices([b"a", b"b", b""]) == ["a", "b"]


def test_tags_have_one_source():
    with pytest.raises(ValidationError, match="give flags or column, not both"):
        Tags(flags={"drama": 3}, column="tags")


@pytest.mark.parametrize("column", [-1, True, 1.5])
def test_a_column_is_a_name_or_a_position(column):
    assert [Category(column=one).column for one in ("city", 0)] == ["city", 0]
    with pytest.raises(ValidationError, match="is not a column"):
        Category(column=column)
