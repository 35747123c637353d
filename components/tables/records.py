"""Beam's source of table rows, and tf.Examples: what both ExampleGens share."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tfx_bsl.coders import example_coder

from components.tables import blocks, reading, shards
from components.tables.parsing import FILE, LINE, Parsed
from components.tables.settings import Table
from models.errors import UserError

REJECTED, COUNTS = "rejected", "counts"

LEFT_OUT, UNREADABLE, PRESENT = "left_out", "unreadable", "present"  # Kinds of counts.

Counts = Mapping[tuple[str, str], int]


class ReadTable(beam.PTransform):
    """Reads a table as packs of rows by the shards of their key.

    Gives `packs`, pairs of a shard and bytes for `shards.unpack`; and to outputs of these names the REJECTED rows, and
    COUNTS, pairs of (kind of count, table and what) and a number. Raises UserError where the table has no
    file.

    Attributes:
      files: the paths of the table's files; `file` is a place in this list.

    Args:
      name: of the table.
      directory: where it is.
      table: its layout.
      parse: rows to what they come to.
      key: column whose values decide the shard.
      number: of shards; None: as many as the files make.
    """

    def __init__(
        self,
        name: str,
        directory: str,
        table: Table,
        parse: Callable[[reading.Rows], Parsed],
        key: str,
        number: int | None = None,
    ):
        super().__init__()
        self.files = reading.table_files(directory, table)
        if not self.files:
            raise UserError(f"{os.path.join(directory, table.file)}: no such file")
        self.shards = number or shards.shard_count(self.files)
        self._read = _ReadRows(name, table, parse, key, self.shards)
        self._table = table

    def expand(self, pbegin: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        return (
            pbegin
            | "Files" >> beam.Create([*enumerate(self.files)])
            | "Blocks" >> beam.FlatMap(_blocks, self._table)
            | "Spread" >> beam.Reshuffle()
            | "Rows" >> beam.ParDo(self._read).with_outputs(REJECTED, COUNTS, main="packs")
        )


def _blocks(file: tuple[int, str], table: Table) -> Iterator[tuple[int, blocks.Block]]:
    number, path = file
    for block in blocks.blocks(path, table):
        yield number, block


class _ReadRows(beam.DoFn):
    def __init__(self, name: str, table: Table, parse: Callable[[reading.Rows], Parsed], key: str, number: int):
        self._name, self._table, self._parse, self._key, self._shards = name, table, parse, key, number

    def process(self, part: tuple[int, blocks.Block]) -> Iterator[Any]:
        number, block = part
        for rows in reading.read_block(block, self._table):
            parsed = self._parse(rows)
            for one in parsed.rejected:
                yield beam.pvalue.TaggedOutput(REJECTED, one)
            for kind, counts in (
                (LEFT_OUT, parsed.left_out),
                (UNREADABLE, parsed.unreadable),
                (PRESENT, parsed.present),
            ):
                for what, count in counts.items():
                    yield beam.pvalue.TaggedOutput(COUNTS, ((kind, f"{self._name}.{what}"), count))
            place = pa.array(np.full(len(parsed.rows), number, np.int32))
            batch = pa.RecordBatch.from_arrays([*parsed.rows.columns, place], names=[*parsed.rows.schema.names, FILE])
            if len(batch):
                yield from shards.packs_by_shard(batch, self._key, self._shards)


def first_rows(table: pa.Table, key: str) -> pa.Table:
    """The first row of each key by its place in the source, in the order of the keys."""
    order = pc.sort_indices(table, [(key, "ascending"), (FILE, "ascending"), (LINE, "ascending")])
    ordered = table.take(order).combine_chunks()
    keys = ordered[key].combine_chunks().dictionary_encode().indices.to_numpy()
    return ordered.filter(pa.array(np.append(True, keys[1:] != keys[:-1])[: len(keys)]))


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
