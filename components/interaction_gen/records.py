"""Beam sources of table rows, rejected rows, and tf.Examples: what both ExampleGens share."""

from __future__ import annotations

import csv
import io
import os
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import tensorflow as tf
from tfx.proto import example_gen_pb2
from tfx.utils import proto_utils

from pipeline import tables
from pipeline.config import Table
from pipeline.errors import UserError
from pipeline.features import FEATURES, Kind

REJECTED = "rejected"
_FLOATS = (Kind.NUMBER, Kind.RATING)
_INTEGERS = (Kind.TIMESTAMP, Kind.HISTORY_TIMES)


class Rejected(NamedTuple):
    """A row that is left out, and why."""

    file: str
    line: int
    reason: str
    row: str


class ReadTable(beam.PTransform):
    """Reads a table's rows as `(file, line, parse(values))`; unreadable ones go to the output `REJECTED`.

    Raises UserError where the table has no file.
    """

    def __init__(self, directory: str, table: Table, parse: Callable[[dict[str, str]], Any]):
        super().__init__()
        self._files = tables.table_files(directory, table)
        if not self._files:
            raise UserError(f"{os.path.join(directory, table.file)}: no such file")
        self._table = table
        self._parse = parse

    def expand(self, pbegin: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        return (
            pbegin
            | "Files" >> beam.Create(self._files, reshuffle=False)
            | "Rows" >> beam.ParDo(_ReadRows(self._table, self._parse)).with_outputs(REJECTED, main="rows")
        )


class _ReadRows(beam.DoFn):
    def __init__(self, table: Table, parse: Callable[[dict[str, str]], Any]):
        self._table = table
        self._parse = parse

    def process(self, path: str) -> Iterator[Any]:
        for row in tables.read_rows(path, self._table):
            try:
                if row.error:
                    raise ValueError(row.error)
                yield path, row.line, self._parse(row.values)
            except ValueError as error:
                yield beam.pvalue.TaggedOutput(REJECTED, Rejected(path, row.line, str(error), row.text))


class FirstRows(beam.PTransform):
    """Of rows with the same first value, the first; as `(first value, row)`."""

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        return rows | "Key" >> beam.Map(lambda row: (row[2][0], row)) | "First" >> beam.CombinePerKey(min)


def seed_shuffle(key: str) -> None:
    """Makes TFX's shuffle of what an ExampleGen writes depend on `key`, of the rows that come next, alone.

    It takes a random number for each row. Where Beam runs in this process the order of the numbers is that of the rows,
    but rows with the same number move together: in 100 000 rows one or two, enough for another model.
    """
    random.seed(key)


def with_splits(exec_properties: dict[str, Any], *names: str) -> dict[str, Any]:
    """Execution properties that tell TFX's ExampleGen executor the names of the splits it writes."""
    source, output = example_gen_pb2.Input(), example_gen_pb2.Output()
    source.splits.add(name="all", pattern="*")
    for name in names:
        output.split_config.splits.add(name=name, hash_buckets=1)
    return exec_properties | {
        "input_config": proto_utils.proto_to_json(source),
        "output_config": proto_utils.proto_to_json(output),
    }


def to_example(values: dict[str, Any]) -> tf.train.Example:
    """A tf.Example of declared features; a scalar is a list of one, `None` a missing value, text `str` or `bytes`."""
    example = tf.train.Example()
    for feature in FEATURES:
        value = values.get(feature.name)
        if value is None:
            continue
        value = value if isinstance(value, list) else [value]
        entry = example.features.feature[feature.name]
        if feature.kind in _FLOATS:
            entry.float_list.value.extend(value)
        elif feature.kind in _INTEGERS:
            entry.int64_list.value.extend(value)
        else:
            texts = value and isinstance(value[0], str)
            entry.bytes_list.value.extend([item.encode() for item in value] if texts else value)
    return example


def to_csv_line(fields: tuple) -> str:
    """One CSV line, without its end."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(fields)
    return text.getvalue()
