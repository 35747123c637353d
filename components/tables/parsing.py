"""Texts of a table's rows to values: which rows count, which are rejected, and why."""

from __future__ import annotations

import collections
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.tables.reading import Rejected, Rows
from components.tables.settings import WHERE, Condition, EntityTable, InteractionTable, Time
from models.features import names as n
from models.features.kinds import Tags, parse_numbers

_MAX_TIMESTAMP = 32_503_680_000  # The year 3000 in seconds: anything later is in another unit.
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ISO = r"^\d{4}-?\d\d-?\d\d([T ]\d\d:?\d\d(:?\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?$"
_ZONED = r"[T ].*(Z|[+-]\d\d(:?\d\d)?)$"  # Of those.

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

    def reject(self, where: np.ndarray, reason) -> None:
        """`reason` makes the reason of a row's place."""
        for row in np.flatnonzero(where & self.on):
            self.rejected.append(
                Rejected(self._rows.path, int(self._rows.lines[row]), reason(row), self._rows.text(int(row)))
            )
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
        self.rejected.sort(key=lambda row: row.line)
        return Parsed(batch, self.rejected, dict(self.left_out), unreadable, present)


def interactions(rows: Rows, table: InteractionTable) -> Parsed:
    """Checks interactions: `user_id`, `item_id`, `timestamp` in Unix seconds, rating, event and context."""
    texts, sieve = rows.columns, _Sieve(rows)
    for name in table.require:
        sieve.leave_out(_missing(texts[name]), f"no {name}")
    for column, condition in table.where.items():
        _apply(column, condition, texts[WHERE + column], sieve)
    if table.events:
        known = pc.is_in(texts[n.EVENT], pa.array([*table.events], pa.string())).to_numpy(zero_copy_only=False)
        missing = _equal(texts[n.EVENT], "")
        sieve.leave_out(~known & ~missing, "an event of a kind that is not named in events")
    for name in table.columns:
        where = _missing(texts[name])
        if where.any():
            sieve.reject(where, lambda _, name=name: f"missing {name}")
    for name in (n.USER_ID, n.ITEM_ID):
        sieve.reject(_broken(texts[name]), lambda _, name=name: f"{name} has a line break in it")
    columns = {n.USER_ID: texts[n.USER_ID], n.ITEM_ID: texts[n.ITEM_ID]}
    if n.RATING in texts:
        ratings, bad = parse_numbers(texts[n.RATING])
        sieve.reject(bad, lambda row: f"rating {texts[n.RATING][row].as_py()!r} is not a number")
        columns[n.RATING] = pc.fill_null(ratings, 0.0).cast(pa.float32())
    columns[n.TIMESTAMP] = _seconds(texts[n.TIMESTAMP], table.timestamp, sieve)
    if n.EVENT in texts:
        columns[n.EVENT] = texts[n.EVENT]
    return sieve.result(columns, {name: feature.parse(texts[name]) for name, feature in table.context.items()})


def entities(rows: Rows, table: EntityTable, id_name: str) -> Parsed:
    """Checks rows of the items' or the users' table: the id, the title and the features, null where missing."""
    texts, sieve = rows.columns, _Sieve(rows)
    sieve.reject(_missing(texts[id_name]), lambda _: f"missing {id_name}")
    sieve.reject(_broken(texts[id_name]), lambda _: f"{id_name} has a line break in it")
    columns = {name: texts[name] for name in table.columns}
    features = {
        name: _flags(texts, name, feature)
        if isinstance(feature, Tags) and feature.flags
        else feature.parse(texts[name])
        for name, feature in table.features.items()
    }
    return sieve.result(columns, features)


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
    sieve.reject(bad, lambda row: f"{column} {texts[row].as_py()!r} is not a number")
    values = numbers.to_numpy(zero_copy_only=False)
    holds = {"above": np.greater, "at_least": np.greater_equal, "below": np.less, "at_most": np.less_equal}
    for name, limit in limits.items():
        with np.errstate(invalid="ignore"):
            sieve.leave_out(~holds[name](values, limit), f"{column} is not {name.replace('_', ' ')} {limit:g}")


def _seconds(texts: pa.Array, time: Time, sieve: _Sieve) -> pa.Array:
    """[n] int64 Unix seconds; 0 where rejected."""
    if pa.types.is_timestamp(texts.type):  # The file says it.
        if texts.type.tz is None:
            texts = pc.assume_timezone(texts, time.time_zone, ambiguous="earliest", nonexistent="latest")
        seconds = pc.fill_null(texts.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    elif time.unit in _PER_SECOND:
        numbers, bad = parse_numbers(texts)
        sieve.reject(bad, lambda row: f"timestamp {texts[row].as_py()!r} is not a number")
        values = pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False) / _PER_SECOND[time.unit]
        if time.unit == "s":
            sieve.reject((values != np.floor(values)) | (values <= 0), _whole(texts))
        seconds = np.floor(values)
    else:
        seconds, bad = _dates(texts, time)
        sieve.reject(bad, lambda row: f"timestamp {texts[row].as_py()!r} is not a time as {time.unit}")
    sieve.reject(seconds <= 0, _whole(texts))
    unit = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}.get(time.unit, time.unit)
    sieve.reject(
        seconds > _MAX_TIMESTAMP,
        lambda row: f"timestamp {texts[row].as_py()!r} is past the year 3000: it has to be in {unit}",
    )
    return pa.array(np.where(sieve.on, seconds, 0).astype(np.int64))


def _whole(texts: pa.Array):
    return lambda row: f"timestamp {texts[row].as_py()!r} is not a positive whole number of seconds"


def _dates(texts: pa.Array, time: Time) -> tuple[np.ndarray, np.ndarray]:
    """Texts as dates to Unix seconds, and which are none."""
    if time.unit == "iso":
        texts = pc.if_else(pc.match_substring_regex(texts, _ISO), texts, "")
        zoned = pc.match_substring_regex(texts, _ZONED).to_numpy(zero_copy_only=False)
    else:
        zoned = np.full(len(texts), "%z" in time.unit.lower())
    series = texts.to_pandas()
    layout = None if time.unit == "iso" else time.unit  # Without one pandas knows those of ISO.
    seconds = np.zeros(len(series), np.int64)
    bad = np.zeros(len(series), bool)
    for which, with_zone in ((zoned, True), (~zoned, False)):
        if not which.any():
            continue
        moments = pd.to_datetime(series[which], format=layout, errors="coerce", utc=with_zone)
        if not with_zone:  # A time that does not exist there, as clocks go forward, is the next that does.
            moments = moments.dt.tz_localize(
                time.time_zone, ambiguous=np.ones(len(moments), bool), nonexistent="shift_forward"
            )
        missing = moments.isna().to_numpy()
        in_utc = moments.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[s]").astype(np.int64)
        seconds[which], bad[which] = np.where(missing, 0, in_utc), missing
    return seconds, bad


def _equal(column: pa.Array, text: str) -> np.ndarray:
    return pc.equal(column, text).to_numpy(zero_copy_only=False)


def _broken(ids: pa.Array) -> np.ndarray:
    """Which ids have a line break, with which no vocabulary of TFT's would hold them."""
    return pc.match_substring_regex(ids, "[\n\r]").to_numpy(zero_copy_only=False)


def _missing(column: pa.Array) -> np.ndarray:
    if pa.types.is_timestamp(column.type):
        return column.is_null().to_numpy(zero_copy_only=False)
    return _equal(column, "")
