"""Parts of table files, which workers read by themselves: ranges of a CSV file, row groups of a Parquet file."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import itertools
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, NamedTuple

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
      start, end: bytes of a CSV file; row groups of a Parquet file. A packed file is one block, as it has to be
        unpacked from its start; its end is -1.
      line: lines of a CSV file, or rows of a Parquet file, before it.
      header: of a CSV file that has one, the names in it.
    """

    path: str
    start: int
    end: int
    line: int
    header: list[str] | None


class Piece(NamedTuple):
    """Whole rows of a CSV file, `line` lines after its start."""

    data: bytes
    line: int


def blocks(path: str, table: Table) -> Iterator[Block]:
    """The blocks of a file, one at least. A CSV file is looked through for the ends of lines.

    Raises:
      UserError: the file is empty and should have a header, or is not of the table's format or encoding.
    """
    if table.format == "parquet":
        yield from _of_parquet(path)
        return
    header = _header(path, table) if table.header else None
    if _is_packed(path):
        yield Block(path, 0, -1, 0, header)
    elif not _has_ascii_line_ends(table):
        yield Block(path, 0, storage.size(path), 0, header)
    else:
        start = 0
        with storage.open_file(path) as file:
            for data, line in _pieces(file, table):
                yield Block(path, start, start + len(data), line, header)
                start += len(data)


def pieces(block: Block, table: Table) -> Iterator[Piece]:
    """What a block of a CSV file holds: one piece, or, of a packed file, many."""
    with _open(block.path) as file:
        if block.end < 0:
            yield from _pieces(file, table)
        else:
            file.seek(block.start)
            yield Piece(file.read(block.end - block.start), block.line)


def open_parquet(path: str) -> pyarrow.parquet.ParquetFile:
    """Opens a Parquet file. Raises UserError if it is none."""
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(storage.open_file(path))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise UserError(f"{path} is not a Parquet file: {error}") from error


def split_quoted(path: str, text: str, delimiter: str, line: int) -> Iterator[tuple[int, list[str]]]:
    """Rows of CSV with quotes as fields, each with the line it ends on; `line` are those before the text.

    Raises UserError for a stray quote, which may have taken in any number of rows.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for fields in reader:
            yield line + reader.line_num, fields
    except csv.Error as error:
        place = f"{path}, line {line + reader.line_num}"
        raise UserError(f"{place}: not valid CSV ({error}): check the quotes") from error


@contextlib.contextmanager
def decoding(path: str, encoding: str) -> Iterator[None]:
    """Makes a UserError of text that is in another encoding, and of a packed file that is none."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not {encoding}: {error}. Set `encoding` in the table's layout") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise UserError(f"{path} is not a whole gzip file: {error}") from error


def _is_packed(path: str) -> bool:
    return path.endswith(".gz")


def _open(path: str) -> IO[bytes]:
    file = storage.open_file(path)
    return gzip.open(file) if _is_packed(path) else file  # type: ignore[return-value]


def _has_ascii_line_ends(table: Table) -> bool:
    return '"\n'.encode(table.encoding) == b'"\n'


def _header(path: str, table: Table) -> list[str]:
    with decoding(path, table.encoding), _open(path) as file:
        text = io.TextIOWrapper(file, table.encoding, newline="")
        first = text.readline()
        while len(table.delimiter) == 1 and first.count('"') % 2 and (more := text.readline()):
            first += more
    if not first:
        raise UserError(f"{path} is empty: expected a header line and rows")
    if len(table.delimiter) == 1:
        _, header = next(split_quoted(path, first, table.delimiter, 0))
    else:
        header = first.rstrip("\r\n").split(table.delimiter)
    return [name.strip().lstrip("\ufeff") for name in header]


def _pieces(file: IO[bytes], table: Table) -> Iterator[Piece]:
    """A file in pieces of some `_BYTES`, one at least, which end with a line, and not inside quotes."""
    if not _has_ascii_line_ends(table):
        yield Piece(file.read(), 0)
        return
    quotes = len(table.delimiter) == 1
    line, first = 0, True
    while True:
        data, inside = [], False
        size = 0
        for part in itertools.chain([file.read(_BYTES)], iter(file.readline, b"")):
            data.append(part)
            size += len(part)
            inside ^= quotes and part.count(b'"') % 2 == 1
            if part.endswith(b"\n") and (not inside or size > _BYTES + _QUOTED):
                break
        whole = b"".join(data)
        if whole or first:
            yield Piece(whole, line)
        if not whole:
            return
        line += whole.count(b"\n")
        first = False


def _of_parquet(path: str) -> Iterator[Block]:
    metadata = open_parquet(path).metadata
    line = 0
    for number in range(metadata.num_row_groups):
        yield Block(path, number, number + 1, line, None)
        line += metadata.row_group(number).num_rows
    if not metadata.num_row_groups:
        yield Block(path, 0, 0, 0, None)
