"""Where rows end, whatever stands in their quotes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.tables import blocks, csv_text
from components.tables.csv_text import Dialect
from components.tables.settings import Table
from models.errors import UserError

PLAIN = Dialect.of(Table(file="rows.csv", columns={}), "rows.csv")


def fields(text, dialect=PLAIN, width=None):
    found = csv_text.split("rows.csv", text, dialect, 0, width)
    values = [value.lstrip(" ") for value in found.values.to_pylist()]  # As reading does, after quotes too.
    starts = found.starts.tolist()
    rows = [values[start:end] for start, end in itertools.pairwise(starts)]
    return list(zip(found.lines.tolist(), rows, strict=True))


def of_table(**layout):
    return Dialect.of(Table(file="rows.csv", columns={}, **layout), "rows.csv")


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.text('",\n\r a\\', max_size=40), st.integers(1, 9), st.sampled_from([PLAIN, of_table(escape="\\")]))
def test_pieces_of_any_size_hold_the_rows_of_the_whole(text, size, dialect):
    try:
        whole = fields(text, dialect)
    except UserError:
        return  # A quote is where it cannot be, which no piece can mend.
    data = text.encode()
    pieces = [*blocks._pieces((data[at : at + size] for at in range(0, len(data), size)), dialect)]
    assert b"".join(pieces) == data
    found, line = [], 0
    for piece in pieces:
        found += [(line + number, row) for number, row in fields(piece.decode(), dialect)]
        line += csv_text.lines_in(piece)
    assert found == whole


def test_quotes_inside_a_text_open_and_close_nothing():
    text = '1,36" screen\n2,"a ""b"",\nc"\n3,12"\n'
    assert fields(text) == [(1, ["1", '36" screen']), (3, ["2", 'a "b",\nc']), (4, ["3", '12"'])]
    assert csv_text.rows_end(text[:-1].encode(), PLAIN) == text.index("3,")
    assert csv_text.rows_end(b'1,"open\n', PLAIN) == 0
    assert csv_text.rows_end(b'1,"open\n', of_table(quoting="none")) == 8


def test_without_quoting_quotes_are_text_and_an_escape_still_escapes():
    assert fields('1,"a\n2,b"', of_table(quoting="none")) == [(1, ["1", '"a']), (2, ["2", 'b"'])]
    assert fields("1,a\\,b\n", of_table(quoting="none", escape="\\")) == [(1, ["1", "a,b"])]
    assert fields('1;;"a\n', of_table(delimiter=";;")) == [(1, ["1", '"a'])]


def test_a_quote_after_blanks_is_one_unless_blanks_separate():
    assert fields('1, "a, b",c\n') == [(1, ["1", "a, b", "c"])]
    assert csv_text.rows_end(b'1,  "a\n', PLAIN) == 0
    assert fields('1 "a b"  c\n', of_table(delimiter=" ")) == [(1, ["1", "a b", "", "c"])]


def test_lines_end_in_lf_cr_lf_or_cr():
    for end in ("\n", "\r\n", "\r"):
        text = end.join(["a,b", "", "c,d", ""])
        assert fields(text) == fields(text.replace("b", '"b"')) == [(1, ["a", "b"]), (3, ["c", "d"])]
        assert csv_text.lines_in(text.encode()) == 3


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ('1,"Best of\n2,Vinyl 12"\n', 2),
        ('1,"Best of,x\n2,b,y\n3,Vinyl 12",z\n', 3),
    ],
)
def test_a_quote_that_takes_in_rows_is_refused_unless_it_is_trusted(text, width):
    with pytest.raises(UserError, match=r"rows.csv, line 1: the quote that opens here closes on line [23]"):
        fields(text, width=width)
    assert len(fields(text, of_table(quoting="standard"), width)) == 1


@pytest.mark.parametrize(
    ("text", "width"), [('1,"two\nlines, one field"\n', 2), ('1,"one\ntwo",x\n', 3), ('1,"a\n\nb,c"\n', 2)]
)
def test_prose_of_several_lines_is_a_field(text, width):
    assert len(fields(text, width=width)) == 1
