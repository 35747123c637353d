"""The one text of an id, whatever type it has, and what else values come to."""

import decimal

import pyarrow as pa
import pytest
import tensorflow as tf

from components.tables import times, values
from components.tables.settings import Time
from models.features.texts import BLANKS, trim, trim_tensor


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([7, None, -7], pa.int16()), ["7", "", "-7"]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([7.0, None, float("nan"), -0.0], pa.float64()), ["7", "", "", "0"]),
        (pa.array([7.0, 2.0**24], pa.float32()), ["7", "16777216"]),
        (pa.array([decimal.Decimal("7"), None], pa.decimal128(38, 0)), ["7", ""]),
        (pa.array([decimal.Decimal("700.00")], pa.decimal128(10, 2)), ["700"]),
        (pa.array([" a\u00a0", "007", "1.0", None], pa.large_string()), ["a", "007", "1.0", ""]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
        (pa.array([b"a", None, "é ".encode()]), ["a", "", "é"]),
        (pa.array([b"abc"], pa.binary(3)), ["abc"]),
        (pa.array([True, False, None]), ["1", "0", ""]),
        (pa.array([None, None], pa.null()), ["", ""]),
    ],
)
def test_an_id_has_one_text_whatever_its_type(column, texts):
    assert values.of_column(column, "id", False)[0].to_pylist() == texts
    assert values.of_column(pa.concat_arrays([column, column])[1:], "id", False)[0].to_pylist() == texts[1:] + texts


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1.0, 1.5]), "holds 1.5, and an id is"),
        (pa.array([2.0**53]), r"holds 9007199254740992.0, and an id is .* that a float can hold"),
        (pa.array([float("inf")]), "holds inf"),
        (pa.array([decimal.Decimal("1.50")]), "holds 1.5, and an id is"),
        (pa.array([["a"]]), "holds lists"),
        (pa.array([{"id": 1, "x": 2}]), "is a struct of id, x: give one of its fields by a path"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "is a map: give one of its keys"),
        (pa.array([1], pa.time32("s")), "is a time32"),
    ],
)
def test_what_cannot_be_an_id_is_refused(column, message):
    with pytest.raises(values.Unfit, match=message):
        values.of_column(column, "id", False)


def test_whole_numbers_of_a_numeric_text_column_are_written_one_way():
    texts = pa.array(["7", "7.0", " 7.00 ", "-1.0", "1.50", "a.0"])
    assert values.of_text(texts, "id", True).to_pylist() == ["7", "7", "7", "-1", "1.50", "a.0"]
    assert values.of_text(texts, "id", False).to_pylist()[1] == "7.0"
    powers = pa.array(["1e+05", "1.5E2", "1e99", "-2e3", "be", ""])
    assert values.of_text(powers, "id", True).to_pylist() == ["100000", "150", "1e+99", "-2000", "be", ""]


def test_bytes_that_are_no_text_are_told_by_row():
    texts, reasons = values.of_column(pa.array([b"a", b"\xff", None]), "text", False)
    assert texts.to_pylist() == ["a", "", ""] and [*reasons] == [1] and reasons[1].startswith("not UTF-8")
    _, reasons = values.of_column(pa.array([[b"a", b"\xff"], [], [b"\xfe"]]), "tags", False)
    assert [*reasons] == [0, 2]


def test_numbers_and_lists_stay_what_they_are():
    assert values.of_column(pa.array([1.5, float("nan"), None]), "number", False)[0].to_pylist() == [1.5, None, None]
    vectors, _ = values.of_column(pa.array([[1, 2], None, [3, None]]), "vector", False)
    assert vectors.to_pylist() == [[1, 2], [], [3, None]]
    fixed = pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))
    assert values.of_column(fixed, "vector", False)[0].to_pylist() == [[1.0, 2.0], []]
    assert values.of_column(pa.array([[7.0, 1.5], None]), "tags", False)[0].to_pylist() == [["7", "1.5"], []]


def test_a_path_goes_through_structs_and_lists_of_them():
    column = pa.array([{"a": [{"b": {"c": "x"}}, {"b": None}, None]}, None, {"a": []}])
    assert values.field_of(column, ["a", "b", "c"]).to_pylist() == [["x", None, None], [], []]
    with pytest.raises(KeyError):
        values.field_of(column, ["a", "z"])


def test_blanks_around_a_text_are_the_same_in_reading_and_in_a_graph():
    texts = [f"{blank}a{blank}b{blank}" for blank in BLANKS] + ["", " ", "a", *BLANKS]
    wanted = [text.strip(BLANKS) for text in texts]
    assert trim(pa.array(texts)).to_pylist() == wanted
    assert [text.decode() for text in trim_tensor(tf.constant(texts)).numpy()] == wanted
    assert all(blank.isspace() for blank in BLANKS[:-1]) and BLANKS[-1] == "\ufeff"


def test_nanoseconds_are_not_rounded_by_a_float():
    column = pa.array([1_600_000_000_999_999_999, None])
    seconds, bad = times.seconds(column, Time(unit="ns"))
    assert seconds.tolist() == [1_600_000_000, 0] and not bad.any()
    seconds, _ = times.seconds(pa.array(["1600000000999999999"]), Time(unit="ns"))
    assert seconds.tolist() == [1_600_000_000]


@pytest.mark.parametrize(
    ("column", "unit"),
    [
        (pa.array([1_600_000_000, 5]), "s"),
        (pa.array(["1600000000.5", "", "x"]), "s"),
        (pa.array(["2020-09-13", "soon", "2020-09-14T00:00:00+02:00"]), "iso"),
        (pa.array(["20200913", "20200914"]), "iso"),
        (pa.array([20200913, 20200914]), "iso"),
        (pa.array([1, 2, 3]), "s"),
        (pa.array(["", ""]), "s"),
    ],
)
def test_a_column_shows_how_its_times_are_written(column, unit):
    assert times.recognised(column, Time()).unit == unit


@pytest.mark.parametrize(
    ("column", "said", "message"),
    [
        (pa.array([1_600_000_000_000]), None, "{key}.unit: ms"),
        (pa.array(["1600000000000000"]), None, "{key}.unit: us"),
        (pa.array([1.6e18]), "ms", "{key}.unit: ns"),
        (pa.array([1_600_000_000]), "ms", "{key}.unit: s"),
        (pa.array([10**25 / 1.0]), None, "past the year 3000 in every unit"),
        (pa.array(["13.09.2020"]), None, '{key}.unit: "%d/%m/%Y'),
        (pa.array(["2020-09-13"]), "ms", "{key}.unit: iso"),
        (pa.array([1_600_000_000]), "iso", "{key}.unit: s"),
    ],
)
def test_implausible_times_are_refused_with_the_unit_that_fits(column, said, message):
    with pytest.raises(times.Implausible) as error:
        times.recognised(column, Time(unit=said))
    assert message in str(error.value)
