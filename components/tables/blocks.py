"""Parts of table files, which workers read by themselves: ranges of a CSV file, row groups of a Parquet file."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from components import storage
from components.tables.settings import Table
from models.errors import UserError

if TYPE_CHECKING:
    import pyarrow.parquet

_BYTES = 2**23  # Of a CSV file, for each block: some 300,000 ratings.
_QUOTED = 2**23  # Bytes that may follow an open quote before it is taken for a stray one.


class Block(NamedTuple):
    """A part of a file.

    Attributes:
      path: the file.
      start, end: bytes of a CSV file; row groups of a Parquet file.
      line: lines of a CSV file, or rows of a Parquet file, before it.
      header: of a CSV file that has one, the names in it.
    """

    path: str
    start: int
    end: int
    line: int
    header: list[str] | None


def blocks(path: str, table: Table) -> Iterator[Block]:
    """The blocks of a file, one at least. A CSV file is looked through for the ends of lines.

    Raises:
      UserError: the file is empty and should have a header, or is not of the table's format or encoding.
    """
    if table.format == "parquet":
        yield from _of_parquet(path)
        return
    header = _header(path, table) if table.header else None
    if '"\n'.encode(table.encoding) == b'"\n':
        yield from _of_csv(path, len(table.delimiter) == 1, header)
    else:
        yield Block(path, 0, storage.size(path), 0, header)


def open_parquet(path: str) -> pyarrow.parquet.ParquetFile:
    """Opens a Parquet file. Raises UserError if it is none."""
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(storage.open_file(path))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a Parquet file: {error}") from error


def open_csv(block: Block, encoding: str) -> io.TextIOBase:
    """A block's text, for the csv module."""
    with storage.open_file(block.path) as file:
        file.seek(block.start)
        return io.TextIOWrapper(io.BytesIO(file.read(block.end - block.start)), encoding, newline="")


def split_lines(path: str, text: io.TextIOBase, delimiter: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Rows as fields, each with the line it ends on; `line` are those before the text.

    A delimiter of one character is CSV's, with quotes. Raises UserError for a stray one, which may have taken in any
    number of rows.
    """
    if len(delimiter) > 1:
        yield from ((i, row.rstrip("\r\n").split(delimiter)) for i, row in enumerate(text, line + 1))
        return
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            yield line + reader.line_num, fields
    except csv.Error as error:
        place = f"{path}, line {line + reader.line_num}"
        raise UserError(f"{place}: not valid CSV ({error}): check the quotes") from error


@contextlib.contextmanager
def decoding(path: str, encoding: str) -> Iterator[None]:
    """Makes a UserError of text that is in another encoding."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not {encoding}: {error}. Set `encoding` in the table's layout") from error


def _header(path: str, table: Table) -> list[str]:
    with decoding(path, table.encoding), storage.open_file(path, "r", encoding=table.encoding, newline="") as file:
        _, header = next(split_lines(path, file, table.delimiter, 0), (0, None))
    if header is None:
        raise UserError(f"{path} is empty: expected a header line and rows")
    return [name.strip().lstrip("\ufeff") for name in header]


def _of_csv(path: str, quotes: bool, header: list[str] | None) -> Iterator[Block]:
    """Blocks end with a line, and not inside quotes."""
    start = line = 0
    with storage.open_file(path) as file:
        while True:
            end, lines, inside = start, 0, False
            for piece in itertools.chain([file.read(_BYTES)], iter(file.readline, b"")):
                end += len(piece)
                lines += piece.count(b"\n")
                inside ^= quotes and piece.count(b'"') % 2 == 1
                if piece.endswith(b"\n") and (not inside or end - start > _BYTES + _QUOTED):
                    break
            if end > start or not start:
                yield Block(path, start, end, line, header)
            if end == start:
                return
            start, line = end, line + lines


def _of_parquet(path: str) -> Iterator[Block]:
    metadata = open_parquet(path).metadata
    line = 0
    for number in range(metadata.num_row_groups):
        yield Block(path, number, number + 1, line, None)
        line += metadata.row_group(number).num_rows
    if not metadata.num_row_groups:
        yield Block(path, 0, 0, 0, None)
