"""Beam sources of table rows, rejected rows, and tf.Examples: what both ExampleGens share."""

from __future__ import annotations

import csv
import io
import itertools
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow
from tfx_bsl.coders import example_coder

from components.tables import blocks, reading
from components.tables.settings import Table
from models.errors import UserError
from models.features.kinds import Feature

REJECTED = "rejected"
_BATCH = 1000  # Examples encoded at once.


class Rejected(NamedTuple):
    """A row that is left out, and why."""

    file: str
    line: int
    reason: str
    row: str


class ReadRow(NamedTuple):
    """A row that could be read, and where it stands."""

    file: int
    line: int
    parsed: Any


class ReadTable(beam.PTransform):
    """Reads a table's rows as `ReadRow`s of `parse(values)`; unreadable ones go to the output `REJECTED`.

    Raises UserError where the table has no file.

    Attributes:
      files: the paths of the table's files; `file` is a place in this list.
    """

    def __init__(self, directory: str, table: Table, parse: Callable[[dict[str, str]], Any]):
        super().__init__()
        self.files = reading.table_files(directory, table)
        if not self.files:
            raise UserError(f"{os.path.join(directory, table.file)}: no such file")
        self._table = table
        self._parse = parse

    def expand(self, pbegin: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        return (
            pbegin
            | "Files" >> beam.Create([*enumerate(self.files)])
            | "Blocks" >> beam.FlatMap(_blocks, self._table)
            | "Spread" >> beam.Reshuffle()
            | "Rows" >> beam.ParDo(_ReadRows(self._table, self._parse)).with_outputs(REJECTED, main="rows")
        )


def _blocks(file: tuple[int, str], table: Table) -> Iterator[tuple[int, blocks.Block]]:
    number, path = file
    for block in blocks.blocks(path, table):
        yield number, block


class _ReadRows(beam.DoFn):
    def __init__(self, table: Table, parse: Callable[[dict[str, str]], Any]):
        self._table = table
        self._parse = parse

    def process(self, part: tuple[int, blocks.Block]) -> Iterator[Any]:
        number, block = part
        for row in reading.read_block(block, self._table):
            try:
                if row.error:
                    raise ValueError(row.error)
                yield ReadRow(number, row.line, self._parse(row.values))
            except ValueError as error:
                yield beam.pvalue.TaggedOutput(REJECTED, Rejected(block.path, row.line, str(error), row.text))


class FirstRows(beam.PTransform):
    """Keeps the first row of each id, as `(id, (id, features))`."""

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        first = rows | "Key" >> beam.Map(lambda row: (row.parsed.id, row)) | "First" >> beam.CombinePerKey(min)
        return first | "Features" >> beam.MapTuple(lambda key, row: (key, (key, row.parsed.features)))


def shuffled_examples(
    rows: Sequence[Any], shard: int, values: Callable[[Any], dict[str, Any]], features: Mapping[str, Feature]
) -> Iterator[bytes]:
    """A shard's rows as serialized tf.Examples, in an order that only the shard decides.

    Args:
      rows: what the shard holds.
      shard: its number.
      values: makes what `to_examples` takes of a row.
      features: by name.
    """
    rows = list(rows)
    random.Random(shard).shuffle(rows)
    for start in range(0, len(rows), _BATCH):
        yield from to_examples([values(row) for row in rows[start : start + _BATCH]], features)


def to_examples(rows: Sequence[dict[str, Any]], features: Mapping[str, Feature]) -> list[bytes]:
    """Serialized tf.Examples, encoded together, which is much faster than one by one.

    A scalar is a list of one; what is `None` or not there is a missing value.
    """
    columns = {}
    for name, feature in features.items():
        values = [row.get(name) for row in rows]
        lists = [value if isinstance(value, list) else [] if value is None else [value] for value in values]
        offsets = [*itertools.accumulate(map(len, lists), initial=0)]
        missing = [value is None for value in values]
        if all(missing):
            continue
        columns[name] = pyarrow.ListArray.from_arrays(
            pyarrow.array(offsets, pyarrow.int32(), mask=np.array([*missing, False])),
            pyarrow.array(itertools.chain.from_iterable(lists), getattr(pyarrow, feature.arrow_type)()),
        )
    return example_coder.RecordBatchToExamples(pyarrow.RecordBatch.from_pydict(columns))


def to_csv_line(fields: tuple) -> str:
    """One CSV line, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
