"""Rows of the source tables as Arrow arrays, with the line number of each."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.tables import blocks, csv_text, values
from components.tables.blocks import Block
from components.tables.files import partitions
from components.tables.settings import Table
from models.errors import UserError

_PARQUET_ROWS = 2**16  # Of a batch.


class Rejected(NamedTuple):
    """A row that is broken.

    Attributes:
      cause: why, as many rows share it.
      reason: why, of this row.
      row: its text.
    """

    file: str
    line: int
    cause: str
    reason: str
    row: str


class Rows(NamedTuple):
    """Rows of a file.

    Attributes:
      path: the file.
      lines: [n] int64, where they stand.
      columns: by our names, [n] values as `values.of_column` has them.
      broken: rows that have no such columns.
    """

    path: str
    lines: np.ndarray
    columns: dict[str, pa.Array]
    broken: list[Rejected]

    def text(self, row: int) -> str:
        """A row as it is shown."""
        return ",".join("" if (one := column[row].as_py()) is None else str(one) for column in self.columns.values())


def read_rows(path: str, table: Table, numeric: Sequence[str] = ()) -> Iterator[Rows]:
    """Every row of a file, in parts. Errors as of `blocks` and `read_block`."""
    for block in blocks.blocks(path, table):
        yield from read_block(block, table, numeric)


def read_block(block: Block, table: Table, numeric: Sequence[str] = ()) -> Iterator[Rows]:
    """The rows of a part of a file.

    Args:
      block: the part.
      table: its layout.
      numeric: our names of columns that hold whole numbers, which may be written as floats.

    Raises:
      UserError: it cannot be decoded, lacks a mapped column, or has one that cannot be what it is mapped to.
    """
    if block.dialect is None:
        yield from _read_parquet(block, table, numeric)
    else:
        with blocks.decoding(block.path, table.encoding):
            yield from _read_csv(block, table, numeric)


def check_columns(path: str, table: Table) -> None:
    """Raises UserError where a file lacks a mapped column. A file without rows and header is fine."""
    if table.format_of(path) == "parquet":
        schema = blocks.open_parquet(path).schema_arrow
        for ours, name in table.source_columns().items():
            _root(path, schema, ours, str(name))
    else:
        block = next(blocks.blocks(path, table, 1), None)
        if block and block.header:
            _places(path, block.header, table)


def _read_csv(block: Block, table: Table, numeric: Sequence[str]) -> Iterator[Rows]:
    path, header, dialect = block.path, block.header, block.dialect
    width = None if header is None else len(header)
    places = table.source_columns() if header is None else None
    for piece in blocks.pieces(block, table):
        if places is None:
            places = _places(path, header, table)
        text = _decoded(path, piece, blocks.text_encoding(table))
        fields = csv_text.split(path, text, dialect, piece.line, width)
        yield _mapped(path, fields, places, width, dialect.delimiter, table, numeric)


def _decoded(path: str, piece: blocks.Piece, encoding: str) -> str:
    try:
        return piece.data.decode(encoding)
    except UnicodeDecodeError as error:
        line = piece.line + csv_text.lines_in(piece.data[: error.start]) + 1
        raise UserError(
            f"{path}, line {line}: not {encoding} ({error.reason}): set `encoding` in the table's layout, as to cp1252"
        ) from error


def _mapped(
    path: str,
    fields: csv_text.Fields,
    places: dict[str, int | str],
    width: int | None,
    delimiter: str,
    table: Table,
    numeric: Sequence[str],
) -> Rows:
    """Rows of the fields at the places of our columns, or of a partition's value where that is a text."""
    lengths = np.diff(fields.starts)
    needed = max((place for place in places.values() if isinstance(place, int)), default=0) + 1
    whole = lengths == width if width is not None else lengths >= needed
    broken = [
        Rejected(
            path,
            int(fields.lines[row]),
            "another number of fields than there are columns",
            f"{lengths[row]} fields instead of {width or needed}",
            delimiter.join(fields.values[fields.starts[row] : fields.starts[row + 1]].to_pylist()),
        )
        for row in np.flatnonzero(~whole)
    ]
    starts = fields.starts[:-1][whole]
    columns = {}
    for ours, place in places.items():
        if isinstance(place, str):
            texts = pa.array([place]).take(pa.array(np.zeros(len(starts), np.int64)))
        else:
            texts = fields.values.take(pa.array(starts + place))
        role = table.role(ours)
        texts = values.of_text(texts, role, ours in numeric)
        if table.decimal != "." and role in ("number", "vector", "time"):
            texts = pc.replace_substring(texts, table.decimal, ".")
        columns[ours] = texts
    return Rows(path, fields.lines[whole], columns, broken)


def _places(path: str, header: list[str], table: Table) -> dict[str, int | str]:
    """Where our columns stand in a row; the value itself where the file's path gives it."""
    given = partitions(path)
    found: dict[str, int | str] = {}
    for ours, column in table.source_columns().items():
        name = str(column)
        if header.count(name) > 1:
            raise UserError(f"{path}, line 1: the header has {name!r} {header.count(name)} times: which one is meant?")
        if name in header:
            found[ours] = header.index(name)
        elif name in given:
            found[ours] = given[name]
        else:
            raise UserError(
                f"{path}, line 1: no column {name!r}; the header has {_listed(header, given)}"
                f"{_hint(header) or _remedy(ours, name, header)}"
            )
    return found


def _listed(names: Sequence[str], given: dict[str, str]) -> str:
    return ", ".join([*names, *(f"{name} (of its path)" for name in given)])


def _remedy(ours: str, name: str, names: Sequence[str]) -> str:
    """What to correct in the table's layout, and perhaps to what."""
    by_letters = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), by_letters, 1)
    return f". Correct `{ours.replace(':', '.')}` of the table" + "".join(
        f", perhaps to {by_letters[one]}" for one in near
    )


def _hint(header: list[str]) -> str:
    """What may be wrong where a header is one field."""
    (only,) = header if len(header) == 1 else [""]
    found = [one for one in (";", "\t", "|", ",") if one in only]
    return f". Is {found[0]!r} between its fields? Set `delimiter` in the table's layout" if found else ""


def _read_parquet(block: Block, table: Table, numeric: Sequence[str]) -> Iterator[Rows]:
    path, line = block.path, block.line
    file = blocks.open_parquet(path)
    columns = {ours: str(name) for ours, name in table.source_columns().items()}
    roots = {name: _root(path, file.schema_arrow, ours, name) for ours, name in columns.items()}
    given = partitions(path)
    wanted = [*dict.fromkeys(root for root in roots.values() if root)]
    # A table whose mapped columns are all of its path has rows all the same.
    batches = file.iter_batches(_PARQUET_ROWS, [*range(block.start, block.end)], wanted or None)
    try:
        for batch in batches:
            lines = np.arange(line + 1, line + 1 + len(batch))
            line += len(batch)
            found, reasons = {}, {}
            for ours, name in columns.items():
                if roots[name]:
                    column = values.field_of(
                        batch.column(batch.schema.get_field_index(roots[name])), _path(name, roots[name])
                    )
                else:
                    column = pa.array([given[name]] * len(batch))
                found[ours], why = _converted(path, name, column, table, ours, numeric)
                reasons = why | reasons
            yield _sorted_out(path, lines, found, reasons)
    except blocks.DAMAGED as error:
        raise UserError(f"{path} cannot be read as a Parquet file: {error}") from error


def _converted(
    path: str, name: str, column: pa.Array, table: Table, ours: str, numeric: Sequence[str]
) -> tuple[pa.Array, dict[int, str]]:
    try:
        return values.of_column(column, table.role(ours), ours in numeric)
    except values.Unfit as unfit:
        raise UserError(f"{path}: column {name!r} {str(unfit).replace('{path}', name)}") from None


def _sorted_out(path: str, lines: np.ndarray, columns: dict[str, pa.Array], reasons: dict[int, str]) -> Rows:
    rows = Rows(path, lines, columns, [])
    if not reasons:
        return rows
    broken = [
        Rejected(path, int(lines[row]), "bytes that are not UTF-8", why, rows.text(row))
        for row, why in sorted(reasons.items())
    ]
    good = np.ones(len(lines), bool)
    good[[*reasons]] = False
    kept = {ours: column.filter(pa.array(good)) for ours, column in columns.items()}
    return Rows(path, lines[good], kept, broken)


def _root(path: str, schema: pa.Schema, ours: str, name: str) -> str:
    """The column that a name or a dotted path begins with; "" where the file's path gives it. A flat name wins."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        root = ".".join(parts[:length])
        if schema.names.count(root) > 1:
            raise UserError(f"{path}: there are {schema.names.count(root)} columns {root!r}: which one is meant?")
        if root in schema.names and _has(schema.field(root).type, parts[length:]):
            return root
    if name in partitions(path):
        return ""
    names = [*itertools.chain.from_iterable(_paths(field.name, field.type) for field in schema)]
    listed = _listed(names, partitions(path))
    raise UserError(f"{path} has no column {name!r}; it has {listed}{_remedy(ours, name, names)}")


def _path(name: str, root: str) -> list[str]:
    return name[len(root) + 1 :].split(".") if len(name) > len(root) else []


def _has(kind: pa.DataType, names: list[str]) -> bool:
    try:
        values.field_of(pa.array([], kind), names)
    except KeyError:
        return False
    return True


def _paths(name: str, kind: pa.DataType) -> Iterator[str]:
    """The paths under a column, by which it can be mapped."""
    while values.is_list(kind):
        kind = kind.value_type
    if not pa.types.is_struct(kind):
        yield name
        return
    for place in range(kind.num_fields):
        yield from _paths(f"{name}.{kind[place].name}", kind[place].type)
