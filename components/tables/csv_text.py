"""Text of CSV files to rows of fields.

Arrow's own CSV reader gives no line numbers, reads on after a stray quote, and takes a row apart only to lose it where
it has another number of fields (apache/arrow#32163). So lines without quotes are split by Arrow's kernels, and the rest
is read by Python's csv module, which is strict.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.tables.settings import Table
from models.errors import UserError
from models.features.texts import BLANKS

csv.field_size_limit(sys.maxsize)  # A field of any length, as one that nobody asks for may have.

_QUOTE, _LF, _CR, _BLANK = b'"\n\r '
_LINE_END = re.compile(rb"\r\n|\n|\r")
_ZERO = "if the file is in another encoding, as utf-16, set `encoding` in the table's layout"


class Dialect(NamedTuple):
    """How a file separates and quotes fields."""

    delimiter: str
    quotes: bool  # Whether they mean anything.
    trusted: bool  # Whether a quoted field may look like rows.
    escape: str | None

    @classmethod
    def of(cls, table: Table, path: str) -> Dialect:
        """As a table's layout says. Where several characters separate, quotes mean nothing."""
        delimiter = table.delimiter_of(path)
        quotes = table.quoting != "none" and len(delimiter) == 1
        return cls(delimiter, quotes, table.quoting == "standard", table.escape if len(delimiter) == 1 else None)


class Fields(NamedTuple):
    """The fields of rows, one after another: row i has those from starts[i] to starts[i + 1], and ends on lines[i]."""

    lines: np.ndarray
    starts: np.ndarray
    values: pa.Array


def lines_in(data: bytes) -> int:
    """How many line ends there are, of LF, CR LF or CR."""
    carriage = data.count(b"\r")
    return data.count(b"\n") + (carriage - data.count(b"\r\n") if carriage else 0)


def line_end(data: bytes, start: int) -> int:
    """Where the line that begins at `start` ends, with its end."""
    found = _LINE_END.search(data, start)
    return found.end() if found else len(data)


def header(path: str, text: str, dialect: Dialect, line: int) -> list[str]:
    """The names in a header, which `line` lines stand before."""
    fields = split(path, text, dialect, line, None)
    return [name.strip(BLANKS) for name in fields.values.to_pylist()]


def split(path: str, text: str, dialect: Dialect, line: int, width: int | None) -> Fields:
    """Rows to fields; lines without anything but blanks are none.

    Args:
      path: the file, for messages.
      text: whole rows.
      dialect: the file's.
      line: how many lines stand before.
      width: how many fields a row should have, if that is known.

    Raises:
      UserError: a quote or another character is where it cannot be.
    """
    if "\0" in text:
        number = line + lines_in(text[: text.index("\0")].encode()) + 1
        raise UserError(f"{path}, line {number}: has a byte that is 0: {_ZERO}")
    if "\r" in text and not (dialect.quotes and '"' in text):
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (dialect.quotes and '"' in text) or (dialect.escape and dialect.escape in text):
        return _by_csv(path, text, dialect, line, width)
    rows = pc.split_pattern(pa.array([text], pa.large_string()), "\n").flatten().cast(pa.string())
    there = pc.not_equal(pc.ascii_ltrim(rows, " "), "")
    fields = pc.split_pattern(rows.filter(there), dialect.delimiter)
    lines = np.flatnonzero(there.to_numpy(zero_copy_only=False)) + line + 1
    return Fields(lines, fields.offsets.to_numpy(), fields.values)


def rows_end(data: bytes, dialect: Dialect) -> int:
    """Where the last whole row ends; 0 if there is none."""
    if not (dialect.quotes and b'"' in data) and not dialect.escape:
        return _last_line_end(data, len(data))
    quotes = _meant(data, dialect)
    end = _last_line_end(data, len(data))
    while end:
        inside = np.searchsorted(quotes, end) % 2 == 1
        escaped = bool(dialect.escape) and data[max(0, end - 3) : end].rstrip(b"\r\n").endswith(dialect.escape.encode())
        if not inside and not escaped:
            return end
        end = _last_line_end(data, end - 1)
    return 0


def open_quote(data: bytes, dialect: Dialect) -> bool:
    """Whether a quote in these bytes is still open at their end."""
    return dialect.quotes and len(_meant(data, dialect)) % 2 == 1


def _last_line_end(data: bytes, stop: int) -> int:
    """After the last LF before `stop`, or, in a file that has none, the last CR that is not the last byte."""
    return data.rfind(b"\n", 0, stop) + 1 or data.rfind(b"\r", 0, min(stop, len(data) - 1)) + 1


def _meant(text: bytes, dialect: Dialect) -> np.ndarray:
    """Places of the quotes that open or close a field, in turn; a doubled one closes and opens."""
    if not dialect.quotes:
        return np.zeros(0, np.int64)
    data = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(data == _QUOTE)
    if dialect.escape:
        escaped = [one.end() - 1 for one in re.finditer(re.escape(dialect.escape.encode()) + b".", text, re.DOTALL)]
        places = np.setdiff1d(places, escaped)
    padded = np.pad(data, 1, constant_values=_LF)
    edge = np.zeros(256, bool)
    edge[[*dialect.delimiter.encode(), _LF, _CR, _QUOTE]] = True
    ahead = places.copy()  # Of the character before a quote and before blanks.
    while dialect.delimiter != " " and (blank := padded[ahead] == _BLANK).any():
        ahead -= blank
    before, after = edge[padded[ahead]], edge[padded[places + 2]]
    if before[::2].all() and after[1::2].all():  # In turn, each is where it has to be.
        return places
    meant, inside = [], False
    starts = before & (padded[places] != _QUOTE)
    for number, place in enumerate(places):  # A file with quotes in its texts, which open and close nothing.
        if inside or starts[number] or (meant and meant[-1] == place - 1):
            meant.append(place)
            inside = not inside
    return np.array(meant, np.int64)


def _by_csv(path: str, text: str, dialect: Dialect, line: int, width: int | None) -> Fields:
    """By the csv module, which is slower and knows quotes."""
    lines: list[int] = []
    starts: list[int] = [0]
    values: list[str] = []
    physical: list[str] = []
    checked = width is not None and not dialect.trusted
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=dialect.delimiter,
        quoting=csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE,
        escapechar=dialect.escape,
        skipinitialspace=dialect.quotes and dialect.delimiter != " ",  # A quote after blanks is one.
        strict=True,
    )
    began = 1
    try:
        for fields in reader:
            ended = reader.line_num
            if ended > began and checked:
                physical = physical or io.StringIO(text, newline="").readlines()
                _check_taken_in(path, line + began, physical[began - 1 : ended], dialect, width)
            if len(fields) > 1 or (fields and fields[0].strip(" ")):
                lines.append(ended)
                values += fields
                starts.append(len(values))
            began = ended + 1
    except csv.Error as error:
        row = "".join(io.StringIO(text, newline="").readlines()[began - 1 : reader.line_num])
        raise UserError(f"{path}, line {line + began}: {_remedy(str(error), row, dialect)}") from error
    return Fields(np.array(lines, np.int64) + line, np.array(starts), pa.array(values, pa.string()))


def _remedy(error: str, row: str, dialect: Dialect) -> str:
    """What is wrong and what would do, by what the csv module says."""
    plain = "if quotes are part of the texts, set `quoting: none` in the table's layout"
    if '\\"' in row and not dialect.escape:
        return f'not valid CSV: a quote has a backslash before it: set `escape: "\\\\"` in the table\'s layout; {plain}'
    if "expected after" in error:
        return (
            f"not valid CSV: a field goes on after its closing quote ({error}): double a quote inside quotes; {plain}"
        )
    if "end of data" in error:
        return f"not valid CSV: a quote opens in the row that begins here, and none closes it: close it; {plain}"
    return f"not valid CSV ({error}): check the quotes; {plain}"


def _check_taken_in(path: str, began: int, lines: list[str], dialect: Dialect, width: int | None) -> None:
    """Raises UserError where quotes seem to have made one row of many: where each of its lines could be one."""
    cells = [one.split(dialect.delimiter) for one in lines]
    begin_with_blank = any(cell.startswith(" ") for line in cells[1:] for cell in line)  # As prose does, after a comma.
    if all(len(line) == width for line in cells) and not begin_with_blank:
        raise UserError(
            f"{path}, line {began}: the quote that opens here closes on line {began + len(lines) - 1}, and every line "
            "between looks like a row of its own: if quotes are part of the texts, set `quoting: none` in the table's "
            "layout; if this is one field of several lines, `quoting: standard`"
        )
