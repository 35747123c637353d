"""Reading rows of the source tables, with the line number of each, and checking them."""

from __future__ import annotations

import datetime
import glob
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from components import storage
from components.tables import blocks
from components.tables.blocks import Block
from components.tables.settings import EntityTable, Table
from models.errors import UserError
from models.features import names as n
from models.features.kinds import Declared, Tags, parse_number

SHOWN_REASONS = 3  # Of rows that cannot be read, in a message.
_MAX_TIMESTAMP = 32_503_680_000  # The year 3000 in seconds: anything later is not in seconds.


class Interaction(NamedTuple):
    """A checked row of the interactions."""

    user_id: str
    item_id: str
    rating: float | None  # None where the data has no ratings.
    timestamp: int  # Unix seconds.


class Entity(NamedTuple):
    """A checked row of the items' or the users' table; a feature that is missing is not there."""

    id: str
    features: dict[str, Any]
    unreadable: list[str]  # Names of features whose values are none of their kind: they count as missing.


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
        positions = table.source_columns()
        width = None
    else:
        positions = {ours: _header_position(path, block.header, name) for ours, name in table.source_columns().items()}
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
        yield Row(path, line, _values({ours: fields[i] for ours, i in positions.items()}), None, text)


def _read_parquet(block: Block, table: Table) -> Iterator[Row]:
    path, line = block.path, block.line
    file = blocks.open_parquet(path)
    columns = table.source_columns()
    names = [str(name) for name in columns.values()]
    for name in names:
        if name not in file.schema_arrow.names:
            raise UserError(f"{path} has no column {name!r}; it has {', '.join(file.schema_arrow.names)}")
    groups = [*range(block.start, block.end)]
    for batch in file.iter_batches(row_groups=groups, columns=names):
        for record in batch.to_pylist():
            line += 1
            try:
                values = {ours: _as_text(record[str(name)], table.separator(ours)) for ours, name in columns.items()}
            except UnicodeDecodeError as error:
                yield Row(path, line, None, f"not UTF-8: {error}", ",".join(map(str, record.values())))
                continue
            yield Row(path, line, _values(values), None, ",".join(values.values()))


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


def _header_position(path: str, header: list[str], name: str | int) -> int:
    if str(name) not in header:
        raise UserError(f"{path}, line 1: no column {name!r}; the header has {', '.join(header)}")
    return header.index(str(name))


def _values(fields: dict[str, str]) -> dict[str, str]:
    return {name: text.strip() for name, text in fields.items()}


def interaction(values: dict[str, str]) -> Interaction:
    """Checks an interaction's fields.

    Raises:
      ValueError: with the reason, fit for the reject file.
    """
    for name, text in values.items():
        if not text:
            raise ValueError(f"missing {name}")
    rating = _number(values, n.RATING) if n.RATING in values else None
    timestamp = _number(values, n.TIMESTAMP)
    if timestamp != int(timestamp) or timestamp <= 0:
        raise ValueError(f"timestamp {values['timestamp']!r} is not a positive whole number of seconds")
    if timestamp > _MAX_TIMESTAMP:
        raise ValueError(f"timestamp {values['timestamp']!r} is past the year 3000: it has to be in seconds")
    return Interaction(values["user_id"], values["item_id"], rating, int(timestamp))


def _number(values: dict[str, str], name: str) -> float:
    try:
        return parse_number(values[name])
    except ValueError as error:
        raise ValueError(f"{name} {error}") from None


def entity(values: dict[str, str], table: EntityTable, id_name: str) -> Entity:
    """Checks a row of the items' or the users' table. Raises ValueError where the id is missing, with the reason."""
    if not values[id_name]:
        raise ValueError(f"missing {id_name}")
    features, unreadable = {}, []
    if n.TITLE in values:
        features[n.TITLE] = values[n.TITLE]
    for name, feature in table.features.items():
        try:
            value = _value(name, feature, values)
        except ValueError:
            unreadable.append(name)
            continue
        if value is not None:
            features[name] = value
    return Entity(values[id_name], features, unreadable)


def _value(name: str, feature: Declared, values: dict[str, str]) -> Any:
    if isinstance(feature, Tags) and feature.flags:
        return [tag for tag in feature.flags if values[f"{name}:{tag}"] == "1"]
    return feature.parse(values[name])
