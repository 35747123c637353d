"""Beam's source of table rows, and tf.Examples: what both ExampleGens share."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tfx_bsl.coders import example_coder

from components.tables import blocks, reading, shards
from components.tables.causes import MERGED, REJECTED, Unused
from components.tables.look import look
from components.tables.parsing import FILE, KEYS, LINE, parse
from components.tables.settings import Table, Tables
from components.tables.spans import Window
from models.errors import UserError

UNUSED, COUNTS = "unused", "counts"

# Kinds of counts.
ROWS, ACCEPTED, LEFT_OUT = "rows", "accepted", "left_out"  # And the outcome MERGED.
UNREADABLE, PRESENT = "unreadable", "present"

Counts = Mapping[tuple[str, str], int]

_MERGED_LISTED = 1_000  # Of a shard: where the interactions name their items in every row, nearly all are merged.


class ReadTable(beam.PTransform):
    """Reads a table as packs of rows by the shards of their key.

    Gives `packs`, pairs of a shard and bytes for `shards.unpack`; and to outputs of these names the UNUSED rows, and
    COUNTS, pairs of (kind of count, table, with `.` and what where that is counted apart) and a number.

    Attributes:
      files: the paths of the table's files; `file` is a place in this list.
      times: how its times are read, in words.

    Args:
      name: of the table.
      window: where it is.
      data: the layout of all tables.
      number: of shards, into which the table's key deals out its rows; None: as many as the files make.

    Raises:
      UserError: the table has no file, or as `look`.
    """

    def __init__(self, name: str, window: Window, data: Tables, number: int | None = None):
        super().__init__()
        table = data.by_name()[name]
        self.files = window.files(table, data)
        if not self.files:
            raise UserError(f"{os.path.join(window.newest, table.file)}: no such file")
        self.shards = number or shards.shard_count(self.files)
        seen = look(self.files, table)
        self.times = seen.times
        self._read = _ReadRows(name, seen.table, seen.numeric, self.shards)
        self._table = seen.table

    def expand(self, pbegin: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        return (
            pbegin
            | "Files" >> beam.Create([*enumerate(self.files)])
            | "Blocks" >> beam.FlatMap(_blocks, self._table)
            | "Spread" >> beam.Reshuffle()
            | "Rows" >> beam.ParDo(self._read).with_outputs(UNUSED, COUNTS, main="packs")
        )


def _blocks(file: tuple[int, str], table: Table) -> Iterator[tuple[int, blocks.Block]]:
    number, path = file
    for block in blocks.blocks(path, table):
        yield number, block


class _ReadRows(beam.DoFn):
    def __init__(self, name: str, table: Table, numeric: tuple[str, ...], number: int):
        self._name, self._table, self._numeric, self._shards = name, table, numeric, number

    def process(self, part: tuple[int, blocks.Block]) -> Iterator[Any]:
        number, block = part
        for rows in reading.read_block(block, self._table, self._numeric):
            parsed = parse(self._name, rows, self._table)
            for one in parsed.rejected:
                yield beam.pvalue.TaggedOutput(UNUSED, Unused.of(self._name, REJECTED, one))
            yield counted(ROWS, self._name, len(rows.lines) + len(rows.broken))
            for kind, counts in (
                (LEFT_OUT, parsed.left_out),
                (UNREADABLE, parsed.unreadable),
                (PRESENT, parsed.present),
            ):
                for what, count in counts.items():
                    yield counted(kind, f"{self._name}.{what}", count)
            place = pa.array(np.full(len(parsed.rows), number, np.int32))
            batch = pa.RecordBatch.from_arrays([*parsed.rows.columns, place], names=[*parsed.rows.schema.names, FILE])
            if len(batch):
                yield from shards.packs_by_shard(batch, KEYS[self._name], self._shards)


def counted(kind: str, what: str, count: int) -> beam.pvalue.TaggedOutput:
    """A number for the output COUNTS."""
    return beam.pvalue.TaggedOutput(COUNTS, ((kind, what), count))


def merge(
    table: pa.Table, key: str, name: str, files: Sequence[str], outcome: str, by_interactions: bool = False
) -> tuple[pa.Table, Iterator[beam.pvalue.TaggedOutput]]:
    """The first row of each key by its place in the source, in the order of the keys.

    Args:
      table: rows with FILE and LINE.
      key: the column.
      name: of the source's table.
      files: its files.
      outcome: of the other rows, REJECTED or MERGED.
      by_interactions: whether it is they that tell of the key: what most of its rows say then counts.

    Returns:
      The first rows; and for UNUSED and COUNTS what became of all of them.
    """
    order = pc.sort_indices(table, [(key, "ascending"), (FILE, "ascending"), (LINE, "ascending")])
    ordered = table.take(order).combine_chunks()
    keys = ordered[key].combine_chunks().dictionary_encode().indices.to_numpy()
    is_first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(keys)), 0))
    became = accepted_or(outcome, ordered, np.where(is_first, -1, first), name, files)
    firsts = ordered.filter(pa.array(is_first))
    return (_most_said(ordered, firsts, key) if by_interactions else firsts), became


def _most_said(table: pa.Table, first: pa.Table, key: str) -> pa.Table:
    """The first rows of each key, with the value that most rows of the key have in each column; of equals the first.

    What is missing does not count. Lists stay those of the first rows.
    """
    for place, name in enumerate(first.schema.names):
        if name in (key, FILE, LINE) or pa.types.is_list(first.schema.field(name).type):
            continue
        rows = table.select([key, name]).to_pandas()
        said = rows[rows[name].notna() & (rows[name] != "")].groupby([key, name], sort=False).size()
        most = said.sort_values(ascending=False, kind="stable").reset_index().drop_duplicates(key).set_index(key)[name]
        told = first[key].to_pandas().map(most)
        told = told.where(told.notna(), first[name].to_pandas())
        first = first.set_column(place, name, pa.array(told, first.schema.field(name).type, from_pandas=True))
    return first


def accepted_or(
    outcome: str, rows: pa.Table, first: np.ndarray, name: str, files: Sequence[str]
) -> Iterator[beam.pvalue.TaggedOutput]:
    """For UNUSED and COUNTS: what became of rows; `first` is the place of the row that one repeats, -1 for none."""
    places = np.flatnonzero(first >= 0)
    yield counted(ACCEPTED, name, len(first) - len(places))
    if outcome == MERGED:
        yield counted(MERGED, name, len(places))
        places = places[:_MERGED_LISTED]
    earlier = rows.select([FILE, LINE]).take(first[places])
    for row, of in zip(rows.take(places).to_pylist(), earlier.to_pylist(), strict=True):
        where = "" if of[FILE] == row[FILE] else f" of {files[of[FILE]]}"
        yield unused(name, outcome, files, row, "repeats an earlier row", f"repeats line {of[LINE]}{where}")


def unused(
    name: str, outcome: str, files: Sequence[str], row: dict[str, Any], cause: str, reason: str
) -> beam.pvalue.TaggedOutput:
    """For UNUSED: a row of a table with FILE and LINE."""
    text = ",".join("" if value is None else str(value) for key, value in row.items() if key not in (FILE, LINE))
    rejected = reading.Rejected(files[row[FILE]], row[LINE], cause, reason, text)
    return beam.pvalue.TaggedOutput(UNUSED, Unused.of(name, outcome, rejected))


def vector_lengths(counts: Counts, table: str) -> dict[str, int]:
    """The length that most of a feature's vectors have, by feature of a table."""
    found: dict[str, tuple[int, int]] = {}
    for (kind, what), count in counts.items():
        name, slash, length = what.removeprefix(f"{table}.").partition("/")
        if kind == PRESENT and slash and what.startswith(f"{table}."):
            found[name] = max(found.get(name, (0, 0)), (count, int(length)))
    return {name: length for name, (_, length) in found.items()}


def feature_columns(rows: pa.Table, names: Iterable[str], lengths: Mapping[str, int]) -> dict[str, pa.Array]:
    """The features of entities by name; vectors of another length than `vector_lengths` says are missing."""
    columns = {name: rows[name].combine_chunks() for name in names}
    for name, length in lengths.items():
        vectors = columns[name]
        fits = pc.equal(pc.list_value_length(vectors), length)
        columns[name] = pc.if_else(fits, vectors, pa.scalar(None, vectors.type))
    return columns


def to_examples(columns: Mapping[str, pa.Array]) -> list[bytes]:
    """Serialized tf.Examples of [n] values, or lists of them; null is a missing one."""
    lists = {}
    for name, column in columns.items():
        values = column if pa.types.is_list(column.type) else _lists_of_one(column)
        if values.null_count < len(values):
            is_text = pa.types.is_string(values.type.value_type)
            lists[name] = values.cast(pa.list_(pa.binary())) if is_text else values
    return example_coder.RecordBatchToExamples(pa.RecordBatch.from_pydict(lists))


def _lists_of_one(column: pa.Array) -> pa.Array:
    there = column.is_valid().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(there)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, mask=np.append(~there, False)), column.filter(pa.array(there)))


def to_csv_line(fields: tuple) -> str:
    """One CSV line, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
