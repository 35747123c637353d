"""Rows of the source tables as Arrow arrays of texts, with the line number of each."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components import storage
from components.tables import blocks
from components.tables.blocks import Block
from components.tables.settings import Table
from models.errors import UserError
from models.features import names as n

SHOWN_REASONS = 3  # Of rows that cannot be read, in a message.


class Rejected(NamedTuple):
    """A row that is left out, and why."""

    file: str
    line: int
    reason: str
    row: str


class Rows(NamedTuple):
    """Rows of a file.

    Attributes:
      path: the file.
      lines: [n] int64, where they stand.
      columns: by our names, [n] texts without blanks around them; a `timestamp` that the file has as such is one.
      broken: rows that have no such columns.
    """

    path: str
    lines: np.ndarray
    columns: dict[str, pa.Array]
    broken: list[Rejected]

    def text(self, row: int) -> str:
        """A row as it is shown."""
        return ",".join(str(column[row]) for column in self.columns.values())


def table_files(directory: str, table: Table) -> list[str]:
    """Paths of a table's files, sorted; empty if there are none."""
    return storage.glob(os.path.join(glob.escape(directory), table.file))


def read_rows(path: str, table: Table) -> Iterator[Rows]:
    """Every row of a file, in parts. Errors as of `blocks` and `read_block`."""
    for block in blocks.blocks(path, table):
        yield from read_block(block, table)


def read_block(block: Block, table: Table) -> Iterator[Rows]:
    """The rows of a part of a file.

    Raises:
      UserError: it cannot be decoded, or lacks a mapped column.
    """
    with blocks.decoding(block.path, table.encoding):
        yield from _read_parquet(block, table) if table.format == "parquet" else _read_csv(block, table)


def _read_csv(block: Block, table: Table) -> Iterator[Rows]:
    path, header = block.path, block.header
    if header is None:
        positions = table.source_columns()
        width = None
    else:
        positions = {ours: _position(path, header, name) for ours, name in table.source_columns().items()}
        width = len(header)
    for piece in blocks.pieces(block, table):
        text = piece.data.decode(table.encoding)
        if len(table.delimiter) == 1 and '"' in text:
            fields = _quoted(path, text, table.delimiter, piece.line)
        else:
            fields = _unquoted(text, table.delimiter, piece.line)
        if header is not None and not piece.line:
            fields = fields.from_row(1)
        yield _mapped(path, fields, positions, width, table.delimiter)


class _Fields(NamedTuple):
    """The fields of rows, one after the other: row i has those from starts[i] to starts[i + 1]."""

    lines: np.ndarray
    starts: np.ndarray
    values: pa.Array

    def from_row(self, row: int) -> _Fields:
        return _Fields(self.lines[row:], self.starts[row:], self.values)


def _unquoted(text: str, delimiter: str, line: int) -> _Fields:
    """Lines that have no quotes, or none that mean anything. Empty ones are left out."""
    whole = pc.split_pattern(pa.array([text], pa.large_string()), "\n").flatten()
    rows = pc.utf8_rtrim(whole, "\r").cast(pa.string())
    there = pc.not_equal(rows, "")
    fields = pc.split_pattern(rows.filter(there), delimiter)
    lines = np.flatnonzero(there.to_numpy(zero_copy_only=False)) + line + 1
    return _Fields(lines, fields.offsets.to_numpy(), fields.values)


def _quoted(path: str, text: str, delimiter: str, line: int) -> _Fields:
    """By the csv module, which is slower and knows quotes."""
    lines, starts, values = [], [0], []
    for number, fields in blocks.split_quoted(path, text, delimiter, line):
        if fields and fields != [""]:
            lines.append(number)
            values += fields
            starts.append(len(values))
    return _Fields(np.array(lines, np.int64), np.array(starts), pa.array(values, pa.string()))


def _mapped(path: str, fields: _Fields, positions: dict[str, int], width: int | None, delimiter: str) -> Rows:
    lengths = np.diff(fields.starts)
    needed = max(positions.values()) + 1
    whole = lengths == width if width is not None else lengths >= needed
    broken = [
        Rejected(
            path,
            int(fields.lines[row]),
            f"{lengths[row]} fields instead of {width or needed}",
            delimiter.join(fields.values[fields.starts[row] : fields.starts[row + 1]].to_pylist()),
        )
        for row in np.flatnonzero(~whole)
    ]
    starts = fields.starts[:-1][whole]
    columns = {
        ours: pc.utf8_trim_whitespace(fields.values.take(pa.array(starts + at))) for ours, at in positions.items()
    }
    return Rows(path, fields.lines[whole], columns, broken)


def _position(path: str, header: list[str], name: str | int) -> int:
    if str(name) not in header:
        raise UserError(f"{path}, line 1: no column {name!r}; the header has {', '.join(header)}")
    return header.index(str(name))


def _read_parquet(block: Block, table: Table) -> Iterator[Rows]:
    path, line = block.path, block.line
    file = blocks.open_parquet(path)
    columns = table.source_columns()
    names = [str(name) for name in columns.values()]
    for name in names:
        if name not in file.schema_arrow.names:
            raise UserError(f"{path} has no column {name!r}; it has {', '.join(file.schema_arrow.names)}")
    for batch in file.iter_batches(row_groups=[*range(block.start, block.end)], columns=[*dict.fromkeys(names)]):
        lines = np.arange(line + 1, line + 1 + len(batch))
        line += len(batch)
        bad = np.zeros(len(batch), bool)
        texts, broken = {}, []
        for ours, name in columns.items():
            try:
                texts[ours], reasons = _as_text(batch.column(str(name)), table.separator(ours), ours == n.TIMESTAMP)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
                raise UserError(f"{path}: column {name!r} cannot be read as text: {error}") from error
            for row, reason in reasons.items():
                if not bad[row]:
                    shown = ",".join(str(column[row]) for column in batch.columns)
                    broken.append(Rejected(path, int(lines[row]), reason, shown))
                bad[row] = True
        good = pa.array(~bad)
        yield Rows(path, lines[~bad], {ours: column.filter(good) for ours, column in texts.items()}, broken)


def _as_text(column: pa.Array, separator: str, keep_times: bool = False) -> tuple[pa.Array, dict[int, str]]:
    """Values as texts, "" where missing; and reasons why some cannot be, by row. Times are seconds, or are kept."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        zone = kind.tz if pa.types.is_timestamp(kind) else None
        column = column.cast(pa.timestamp("us", zone), safe=False).cast(pa.timestamp("s", zone), safe=False)
        if keep_times:
            return column, {}
        column = column.cast(pa.int64())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        items, reasons = _as_text(column.flatten(), separator)
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        joined = pc.binary_join(pa.ListArray.from_arrays(offsets, items), separator)
        of_row = np.repeat(np.arange(len(column)), lengths)
        return joined, {int(of_row[item]): reason for item, reason in reasons.items()}
    reasons = {}
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):  # What some writers make of a text.
        try:
            column = column.cast(pa.string())
        except pa.ArrowInvalid:
            values = []
            for row, value in enumerate(column.to_pylist()):
                try:
                    values.append(None if value is None else value.decode())
                except UnicodeDecodeError as error:
                    values.append("")
                    reasons[row] = f"not UTF-8: {error}"
            column = pa.array(values, pa.string())
    return pc.utf8_trim_whitespace(pc.fill_null(column.cast(pa.string()), "")), reasons
