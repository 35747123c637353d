"""Reading rows of the source tables, with the line number of each, and checking them."""

from __future__ import annotations

import datetime
import glob
import math
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from components import storage
from components.tables import blocks
from components.tables.blocks import Block
from components.tables.settings import Table
from models.errors import UserError
from models.features import declared

SHOWN_REASONS = 3  # Of rows that cannot be read, in a message.
_MAX_TIMESTAMP = 32_503_680_000  # The year 3000 in seconds: anything later is not in seconds.


class Interaction(NamedTuple):
    """A checked row of the interactions."""

    user_id: str
    item_id: str
    rating: float
    timestamp: int  # Unix seconds.


class Item(NamedTuple):
    """A checked row of the items' table."""

    item_id: str
    title: str
    tags: list[str]


class Row(NamedTuple):
    """A row as it stands in the file: `values` by our names, or `error` with the reason it cannot be read."""

    file: str
    line: int
    values: dict[str, str] | None
    error: str | None
    text: str


def table_files(directory: str, table: Table) -> list[str]:
    """Paths of a table's files, sorted; empty if there are none."""
    return storage.glob(os.path.join(glob.escape(directory), table.file))


def read_rows(path: str, table: Table) -> Iterator[Row]:
    """Yields every data row of a file. Errors as of `blocks` and `read_block`."""
    for block in blocks.blocks(path, table):
        yield from read_block(block, table)


def read_block(block: Block, table: Table) -> Iterator[Row]:
    """Yields every data row of a part of a file.

    Raises:
      UserError: it cannot be decoded, or lacks a mapped column.
    """
    with blocks.decoding(block.path, table.encoding):
        yield from _read_parquet(block, table) if table.format == "parquet" else _read_csv(block, table)


def _read_csv(block: Block, table: Table) -> Iterator[Row]:
    path = block.path
    numbered = blocks.split_lines(path, blocks.open_csv(block, table.encoding), table.delimiter, block.line)
    if block.header is None:
        positions = dict(_columns(table))
        width = None
    else:
        positions = {ours: _header_position(path, block.header, name) for ours, name in _columns(table)}
        width = len(block.header)
        if block.start == 0:
            next(numbered)
    needed = max(positions.values()) + 1
    for line, fields in numbered:
        if not fields or fields == [""]:
            continue
        text = table.delimiter.join(fields)
        if len(fields) < needed or (width is not None and len(fields) != width):
            yield Row(path, line, None, f"{len(fields)} fields instead of {width or needed}", text)
            continue
        yield Row(path, line, _values(table, {ours: fields[i] for ours, i in positions.items()}), None, text)


def _read_parquet(block: Block, table: Table) -> Iterator[Row]:
    path, line = block.path, block.line
    file = blocks.open_parquet(path)
    names = [str(name) for _, name in _columns(table)]
    for name in names:
        if name not in file.schema_arrow.names:
            raise UserError(f"{path} has no column {name!r}; it has {', '.join(file.schema_arrow.names)}")
    groups = [*range(block.start, block.end)]
    for batch in file.iter_batches(row_groups=groups, columns=names):
        for record in batch.to_pylist():
            line += 1
            try:
                values = {ours: _as_text(record[str(name)], table.separator) for ours, name in _columns(table)}
            except UnicodeDecodeError as error:
                yield Row(path, line, None, f"not UTF-8: {error}", ",".join(map(str, record.values())))
                continue
            yield Row(path, line, _values(table, values), None, ",".join(values.values()))


def _as_text(value: object, separator: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):  # What some writers make of a text.
        return value.decode()
    if isinstance(value, bool):
        return str(int(value))
    if hasattr(value, "timestamp"):
        return str(int((value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)).timestamp()))
    return separator.join(_as_text(one, separator) for one in value) if isinstance(value, list) else str(value)


def _columns(table: Table) -> list[tuple[str, str | int]]:
    return [*table.columns.items(), *((f"flag:{tag}", column) for tag, column in table.flags.items())]


def _header_position(path: str, header: list[str], name: str | int) -> int:
    if str(name) not in header:
        raise UserError(f"{path}, line 1: no column {name!r}; the header has {', '.join(header)}")
    return header.index(str(name))


def _values(table: Table, fields: dict[str, str]) -> dict[str, str]:
    values = {name: fields[name].strip() for name in table.columns}
    if table.flags:
        values["tags"] = table.separator.join(g for g in table.flags if fields[f"flag:{g}"].strip() == "1")
    return values


def interaction(values: dict[str, str]) -> Interaction:
    """Checks an interaction's fields.

    Raises:
      ValueError: with the reason, fit for the reject file.
    """
    for name in declared.INTERACTION_FIELDS:
        if not values[name]:
            raise ValueError(f"missing {name}")
    rating = _number(values, "rating")
    timestamp = _number(values, "timestamp")
    if timestamp != int(timestamp) or timestamp <= 0:
        raise ValueError(f"timestamp {values['timestamp']!r} is not a positive whole number of seconds")
    if timestamp > _MAX_TIMESTAMP:
        raise ValueError(f"timestamp {values['timestamp']!r} is past the year 3000: it has to be in seconds")
    return Interaction(values["user_id"], values["item_id"], rating, int(timestamp))


def _number(values: dict[str, str], name: str) -> float:
    try:
        number = float(values[name])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} {values[name]!r} is not a number")
    return number


def item(values: dict[str, str], table: Table) -> Item:
    """Checks a row of the items' table. Raises ValueError with the reason."""
    if not values["item_id"]:
        raise ValueError("missing item_id")
    tags = [g.strip() for g in values.get("tags", "").split(table.separator)]
    return Item(values["item_id"], values.get("title", ""), [g for g in tags if g and g not in table.empty])


def user(values: dict[str, str]) -> tuple[str, dict[str, Any]]:
    """A user row's id and optional features; a field that is empty or cannot be read counts as missing."""
    fields = {name: value for name, value in values.items() if name != declared.USER_ID.name and value}
    for feature in declared.features_on_side(
        declared.available(fields), declared.Side.QUERY, kinds=[declared.Kind.NUMBER]
    ):
        try:
            fields[feature.name] = _number(fields, feature.name)
        except ValueError:
            del fields[feature.name]
    return values["user_id"], fields
