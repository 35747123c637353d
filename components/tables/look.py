"""What the beginning of a table shows, and what is decided by it once for all of its rows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from components.tables import blocks, reading, times, values
from components.tables.reading import Rows
from components.tables.settings import WHERE, InteractionTable, Table
from models.errors import UserError
from models.features import names as n

_BYTES = 2**20


class Look(NamedTuple):
    """What is decided by a table's beginning.

    Attributes:
      table: its layout, with the unit of its times where that was open.
      numeric: our names of text columns that hold whole numbers.
      times: how the times are read, in words; "" where there are none.
      rows: what was read, before it was known which columns are numeric.
    """

    table: Table
    numeric: tuple[str, ...]
    times: str
    rows: list[Rows]


def look(files: Sequence[str], table: Table) -> Look:
    """Reads the first megabyte of a table, and the names of every file's columns.

    Raises:
      UserError: a file lacks a column, or is not of the table's format or encoding, or the times are implausible.
    """
    for path in files:
        reading.check_columns(path, table)
    rows = [*_first_rows(files, table)]
    columns = {name: [part.columns[name] for part in rows] for name in table.source_columns()} if rows else {}
    numeric = tuple(
        name
        for name, parts in columns.items()
        if table.role(name) in ("id", "text") and not name.startswith(WHERE) and _is_numeric(parts)
    )
    if not isinstance(table, InteractionTable) or not columns:
        return Look(table, numeric, "", rows)
    first, *others = columns[n.TIMESTAMP]
    column = pa.concat_arrays([first, *(other for other in others if other.type == first.type)])
    try:
        time = times.recognised(column, table.timestamp)
    except times.Implausible as error:
        where = f"{rows[0].path}: column {table.columns[n.TIMESTAMP]!r}"
        raise UserError(f"{where}: {str(error).replace('{key}', 'data.interactions.timestamp')}") from None
    return Look(table.model_copy(update={"timestamp": time}), numeric, times.describe(time, column), rows)


def _first_rows(files: Sequence[str], table: Table) -> Iterator[Rows]:
    """Rows of the first megabyte of a table, of as many files as that takes."""
    taken = 0
    for path in files:
        for block in blocks.blocks(path, table, _BYTES):
            for rows in itertools.islice(reading.read_block(block, table), 1):
                taken += sum(column.nbytes for column in rows.columns.values())
                if len(rows.lines) or rows.broken:
                    yield rows
            if taken >= _BYTES / 2:
                return


def _is_numeric(parts: Sequence[pa.Array]) -> bool:
    """Whether all values are whole numbers, as written by whatever writer."""
    texts = [part.filter(pc.not_equal(part, "")) for part in parts if pa.types.is_string(part.type)]
    return len(texts) == len(parts) and all(
        pc.all(pc.match_substring_regex(part, values.WHOLE_NUMBER), min_count=0).as_py() for part in texts
    )
