"""Texts of a table's rows to values: which rows count, which are rejected, and why."""

from __future__ import annotations

import collections
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.tables import times
from components.tables.reading import Rejected, Rows
from components.tables.settings import UNITS, WHERE, Condition, EntityTable, InteractionTable, Table
from models.features import names as n
from models.features.kinds import Tags, parse_numbers

FILE, LINE = "file", "line"  # Where a row stands: columns beside the fields.


class Parsed(NamedTuple):
    """What rows came to.

    Attributes:
      rows: fields and features as columns, and `line`.
      rejected: rows that are broken.
      left_out: how many rows do not count, by reason.
      unreadable: how many values are none of their feature's kind, and so missing, by feature.
      present: how many values there are, by feature; of vectors by `feature/length`.
    """

    rows: pa.RecordBatch
    rejected: list[Rejected]
    left_out: dict[str, int]
    unreadable: dict[str, int]
    present: dict[str, int]


class _Sieve:
    """Sorts rows into those that go on, that are left out and that are rejected; the first reason counts."""

    def __init__(self, rows: Rows):
        self._rows = rows
        self.on = np.ones(len(rows.lines), bool)
        self.rejected = [*rows.broken]
        self.left_out: collections.Counter[str] = collections.Counter()

    def leave_out(self, where: np.ndarray, reason: str) -> None:
        which = where & self.on
        if which.any():
            self.left_out[reason] += int(which.sum())
            self.on &= ~which

    def reject(self, where: np.ndarray, cause: str, values: pa.Array | None = None) -> None:
        """`cause` may have {} where a row's reason shows its value."""
        shared = cause.replace(" {}", "")
        for row in np.flatnonzero(where & self.on):
            reason = shared if values is None else cause.replace("{}", repr(values[row].as_py()))
            place = int(self._rows.lines[row])
            self.rejected.append(Rejected(self._rows.path, place, shared, reason, self._rows.text(int(row))))
        self.on &= ~where

    def result(self, columns: dict[str, pa.Array], features: dict[str, tuple[pa.Array, np.ndarray]]) -> Parsed:
        """What the rows came to, with the values of features and which of them cannot be read."""
        columns = columns | {name: values for name, (values, _) in features.items()}
        columns |= {LINE: pa.array(self._rows.lines, pa.int64())}
        kept = pa.array(self.on)
        batch = pa.RecordBatch.from_pydict({name: column.filter(kept) for name, column in columns.items()})
        unreadable = {name: int((bad & self.on).sum()) for name, (_, bad) in features.items()}
        present: dict[str, int] = {}
        for name in features:
            present |= _present(name, batch.column(name))
        if n.TITLE in columns:
            present[n.TITLE] = len(batch) - int(_missing(batch.column(n.TITLE)).sum())
        self.rejected.sort(key=lambda row: row.line)
        return Parsed(batch, self.rejected, dict(self.left_out), unreadable, present)


KEYS = {"interactions": n.USER_ID, "items": n.ITEM_ID, "users": n.USER_ID}  # What a table's rows are grouped by.


def parse(name: str, rows: Rows, table: Table) -> Parsed:
    """What rows of a table, by its name, come to."""
    return interactions(rows, table) if isinstance(table, InteractionTable) else entities(rows, table, KEYS[name])


def interactions(rows: Rows, table: InteractionTable) -> Parsed:
    """Checks interactions: `user_id`, `item_id`, `timestamp` in Unix seconds, rating, event and context."""
    texts, sieve = rows.columns, _counting(rows, table)
    if table.events:
        known = pc.is_in(texts[n.EVENT], pa.array([*table.events], pa.string())).to_numpy(zero_copy_only=False)
        missing = _equal(texts[n.EVENT], "")
        sieve.leave_out(~known & ~missing, "an event of a kind that is not named in events")
    for name in table.columns:
        where = _missing(texts[name])
        if where.any():
            sieve.reject(where, f"missing {name}")
    columns = {n.USER_ID: texts[n.USER_ID], n.ITEM_ID: texts[n.ITEM_ID]}
    if n.RATING in texts:
        ratings, bad = parse_numbers(texts[n.RATING])
        sieve.reject(bad, "rating {} is not a number", texts[n.RATING])
        columns[n.RATING] = pc.fill_null(ratings, 0.0).cast(pa.float32())
    columns[n.TIMESTAMP] = _seconds(texts[n.TIMESTAMP], table, sieve)
    if n.EVENT in texts:
        columns[n.EVENT] = texts[n.EVENT]
    return sieve.result(columns, {name: feature.parse(texts[name]) for name, feature in table.context.items()})


def entities(rows: Rows, table: EntityTable, id_name: str) -> Parsed:
    """Checks rows of the items' or the users' table: the id, the title and the features, null where missing."""
    texts, sieve = rows.columns, _counting(rows, table)
    sieve.reject(_missing(texts[id_name]), f"missing {id_name}")
    columns = {name: texts[name] for name in table.columns}
    features = {
        name: _flags(texts, name, feature)
        if isinstance(feature, Tags) and feature.flags
        else feature.parse(texts[name])
        for name, feature in table.features.items()
    }
    return sieve.result(columns, features)


def _counting(rows: Rows, table: Table) -> _Sieve:
    """Leaves out what the configuration says does not count."""
    sieve = _Sieve(rows)
    for name in table.require:
        sieve.leave_out(_missing(rows.columns[name]), f"no {name}")
    for column, condition in table.where.items():
        _apply(column, condition, rows.columns[WHERE + column], sieve)
    return sieve


def _present(name: str, values: pa.Array) -> dict[str, int]:
    if not pa.types.is_list(values.type):
        return {name: len(values) - values.null_count}
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    if not pa.types.is_floating(values.type.value_type):
        return {name: int((lengths > 0).sum())}
    return {f"{name}/{length}": int(count) for length, count in enumerate(np.bincount(lengths)) if length and count}


def _flags(texts: dict[str, pa.Array], name: str, feature: Tags) -> tuple[pa.Array, np.ndarray]:
    tags = [*feature.flags]
    flags = np.stack([_equal(texts[f"{name}:{tag}"], "1") for tag in tags], axis=1)
    which = np.nonzero(flags)[1]
    offsets = np.concatenate([[0], np.cumsum(flags.sum(axis=1))])
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tags, pa.string()).take(pa.array(which)))
    return lists, np.zeros(len(lists), bool)


def _apply(column: str, condition: Condition, texts: pa.Array, sieve: _Sieve) -> None:
    limits = condition.model_dump(exclude_none=True, exclude={"one_of"})
    if condition.one_of is not None:
        known = pc.is_in(texts, pa.array(condition.one_of, pa.string())).to_numpy(zero_copy_only=False)
        sieve.leave_out(~known, f"{column} is not one of {', '.join(condition.one_of)}")
    if not limits:
        return
    numbers, bad = parse_numbers(texts)
    sieve.reject(bad, f"{column} {{}} is not a number", texts)
    values = numbers.to_numpy(zero_copy_only=False)
    holds = {"above": np.greater, "at_least": np.greater_equal, "below": np.less, "at_most": np.less_equal}
    for name, limit in limits.items():
        with np.errstate(invalid="ignore"):
            sieve.leave_out(~holds[name](values, limit), f"{column} is not {name.replace('_', ' ')} {limit:g}")


def _seconds(values: pa.Array, table: InteractionTable, sieve: _Sieve) -> pa.Array:
    """[n] int64 Unix seconds; 0 where rejected."""
    seconds, bad = times.seconds(values, table.timestamp)
    unit = table.timestamp.unit or "s"
    sieve.reject(bad, f"timestamp {{}} is not a {'number' if unit in UNITS else f'time as {unit}'}", values)
    sieve.reject(seconds <= 0, "timestamp {} is not after the beginning of 1970", values)
    sieve.reject(seconds > times.MAX_TIMESTAMP, "timestamp {} is past the year 3000", values)
    return pa.array(np.where(sieve.on, seconds, 0))


def _equal(column: pa.Array, text: str) -> np.ndarray:
    return pc.equal(column, text).to_numpy(zero_copy_only=False)


def _missing(column: pa.Array) -> np.ndarray:
    if pa.types.is_string(column.type):
        return _equal(column, "")
    return column.is_null().to_numpy(zero_copy_only=False)
