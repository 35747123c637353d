"""Parts of table files, which workers read by themselves: ranges of a CSV file, row groups of a Parquet file."""

from __future__ import annotations

import codecs
import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from components import storage
from components.tables import csv_text
from components.tables.csv_text import Dialect
from components.tables.settings import Table, codec_of
from models.errors import UserError

if TYPE_CHECKING:
    import pyarrow.parquet

_BYTES = 2**23  # Of a CSV file, for each block: some 300,000 ratings.
_QUOTED = 2**23  # Bytes that may follow an open quote before it is taken for a stray one.
_HEADER, _LONGEST_HEADER = 2**16, 2**20  # Bytes that are read for it, and at most.

DAMAGED = (pa.ArrowException, OSError, UnicodeError)  # What Arrow says of a Parquet file that is none.

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)  # As Excel writes and reads it.
# How files begin that are no text, and what to do with them.
_MAGIC = {
    b"PAR1": "a Parquet file: set `format: parquet` in the table's layout, or name it .parquet",
    b"\x1f\x8b": "a gzip file: its name has to end in .gz",
    b"\x28\xb5\x2f\xfd": "a zstd file: its name has to end in .zst",
    b"PK\x03\x04": "a zip or Excel file: unpack it, or save it as CSV",
}


class Block(NamedTuple):
    """A part of a file.

    Attributes:
      path: the file.
      start, end: bytes of a CSV file; row groups of a Parquet file. A file that has to be unpacked, or decoded, from
        its start is one block, of which `start` counts unpacked bytes; its end is -1.
      line: lines of a CSV file, or rows of a Parquet file, before it.
      header: of a CSV file that has one, the names in it.
      dialect: of a CSV file.
    """

    path: str
    start: int
    end: int
    line: int
    header: list[str] | None = None
    dialect: Dialect | None = None


class Piece(NamedTuple):
    """Whole rows of a CSV file, `line` lines after its start."""

    data: bytes
    line: int


def blocks(path: str, table: Table, size: int | None = None) -> Iterator[Block]:
    """The blocks of a file, of some `size` bytes each, or `_BYTES`; none of a CSV file without rows.

    Raises:
      UserError: the header cannot be read, or the file is not of the table's format or encoding.
    """
    if table.format_of(path) == "parquet":
        yield from _of_parquet(path)
        return
    with decoding(path, table.encoding), storage.open_file(path) as file:
        first = _begin(path, table, _chunks(file, path, table, _HEADER))
        if not _is_seekable(path, table):
            yield first
            return
        start, line = first.start, first.line
        file.seek(start)
        for data in _pieces(_chunks(file, path, table, size or _BYTES), first.dialect):
            yield first._replace(start=start, end=start + len(data), line=line)
            start += len(data)
            line += csv_text.lines_in(data)


def pieces(block: Block, table: Table) -> Iterator[Piece]:
    """What a block of a CSV file holds: one piece, or, of a file that is one block, many."""
    with storage.open_file(block.path) as file:
        if block.end >= 0:
            file.seek(block.start)
            yield Piece(file.read(block.end - block.start), block.line)
            return
        line = block.line
        for data in _pieces(_from(block.start, _chunks(file, block.path, table, _BYTES)), block.dialect):
            yield Piece(data, line)
            line += csv_text.lines_in(data)


def text_encoding(table: Table) -> str:
    """Of pieces: the file's own, or UTF-8 where it is decoded from its start."""
    is_own = _has_ascii_line_ends(table) and codecs.lookup(table.encoding).name != "utf-8-sig"
    return table.encoding if is_own else "utf-8"


def open_parquet(path: str) -> pyarrow.parquet.ParquetFile:
    """Opens a Parquet file. Raises UserError if it is none."""
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(storage.open_file(path))
    except DAMAGED as error:
        raise UserError(f"{path} is not a Parquet file: {error}") from error


@contextlib.contextmanager
def decoding(path: str, encoding: str) -> Iterator[None]:
    """Makes a UserError of text that is in another encoding, and of a packed file that is none."""
    try:
        yield
    except UnicodeError as error:
        raise UserError(f"{path} is not {encoding}: {error}. Set `encoding` in the table's layout") from error
    except OSError as error:
        if not codec_of(path):
            raise
        raise UserError(f"{path} is not a whole {codec_of(path)} file: {error}") from error


def _is_seekable(path: str, table: Table) -> bool:
    return not codec_of(path) and _has_ascii_line_ends(table)


def _has_ascii_line_ends(table: Table) -> bool:
    return '"\n'.encode(table.encoding) == b'"\n'


def _chunks(file: IO[bytes], path: str, table: Table, size: int) -> Iterator[bytes]:
    """What a file holds, unpacked, and as UTF-8 where lines of its encoding do not end in a single byte."""
    codec = codec_of(path)
    source: Any = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), codec) if codec else file
    if _has_ascii_line_ends(table):
        while data := source.read(size):
            yield data
        return
    decoder = codecs.getincrementaldecoder(table.encoding)()
    while data := source.read(size):
        yield decoder.decode(data).encode()
    yield decoder.decode(b"", final=True).encode()


def _from(start: int, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for data in chunks:
        if start < len(data):
            yield data[start:]
        start = max(0, start - len(data))


def _begin(path: str, table: Table, chunks: Iterator[bytes]) -> Block:
    """Reads what stands before the rows: a byte order mark, a line that says the separator, and the header."""
    data, first = b"", None
    while first is None:
        more = next(chunks, b"")
        data += more
        first = _beginning(path, table, data, is_all=not more or len(data) >= _LONGEST_HEADER)
    return first


def _beginning(path: str, table: Table, data: bytes, is_all: bool) -> Block | None:
    """The block after the header; None where that may go on after the data."""
    for magic, what in _MAGIC.items():
        if data.startswith(magic):
            raise UserError(f"{path} is {what}")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and _has_ascii_line_ends(table):
        raise UserError(
            f"{path} begins with the byte order mark of UTF-16: set `encoding: utf-16` in the table's layout"
        )
    encoding = text_encoding(table)
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    dialect = Dialect.of(table, path)
    line = 0
    first = csv_text.line_end(data, start)
    if separator := _SEPARATOR_LINE.fullmatch(data[start:first].decode(encoding, "replace")):
        if table.delimiter not in (None, separator[1]):
            raise UserError(
                f"{path}, line 1: the file says that {separator[1]!r} separates, and `delimiter` in the table's layout "
                f"{table.delimiter!r}: take that one out, or put it right"
            )
        dialect, start, line = dialect._replace(delimiter=separator[1]), first, 1
    if not table.header:
        return Block(path, start, -1, line, None, dialect)
    while start < len(data) and not data[start : csv_text.line_end(data, start)].strip():
        start, line = csv_text.line_end(data, start), line + 1
    end = csv_text.line_end(data, start)
    while end < len(data) and csv_text.open_quote(data[start:end], dialect):
        end = csv_text.line_end(data, end)
    if end == len(data) and not is_all:
        return None
    if start == end:  # Nothing is in it, as writers leave an empty part.
        return Block(path, start, -1, line, [], dialect)
    names = csv_text.header(path, data[start:end].decode(encoding), dialect, line)
    return Block(path, end, -1, line + csv_text.lines_in(data[start:end]), names, dialect)


def _pieces(chunks: Iterable[bytes], dialect: Dialect) -> Iterator[bytes]:
    """Bytes in pieces that end with a row, but for a stray quote, which may take in `_QUOTED` bytes."""
    rest = b""
    for data in chunks:
        rest += data
        end = csv_text.rows_end(rest, dialect)
        if not end and len(rest) > len(data) + _QUOTED:
            end = csv_text.rows_end(rest, dialect._replace(quotes=False, escape=None))
        if end:
            yield rest[:end]
            rest = rest[end:]
    if rest:
        yield rest


def _of_parquet(path: str) -> Iterator[Block]:
    metadata = open_parquet(path).metadata
    line = 0
    for number in range(metadata.num_row_groups):
        yield Block(path, number, number + 1, line)
        line += metadata.row_group(number).num_rows
