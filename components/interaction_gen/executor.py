"""Reads the interactions, joins the users, splits, and writes timelines, as a Beam job."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.artifacts import read_summary
from components.files import SPLITS
from components.interaction_gen.settings import Split
from components.interaction_gen.shard import ToExamples
from components.interaction_gen.summary import WriteSummary, check
from components.tables import parsing, shards, spans
from components.tables.reading import Rejected
from components.tables.records import COUNTS, REJECTED, ReadTable, to_csv_line
from components.tables.settings import Tables
from models.features import names as n
from models.features.feature_set import FeatureSet

_HOUR = 3600
_MOST_LISTED = 100_000  # Rejected rows, which one worker holds and writes; all are counted.


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the splits `train` and `eval`, a summary of the data, and the rejected rows."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        """Generates the examples.

        Raises:
          UserError: more rows were rejected than the configuration allows, a split is empty, or the data cannot teach
            what it is configured for.
        """
        data = Tables.model_validate_json(exec_properties["data"])
        split = Split.model_validate_json(exec_properties["split"])
        features = FeatureSet.model_validate_json(exec_properties["features"])
        directory, span = spans.resolve(exec_properties["directory"], exec_properties["span"])
        summary_uri = artifact_utils.get_single_uri(output_dict["summary"])
        rejected_file = os.path.join(
            exec_properties["rejected_rows_dir"] or summary_uri, f"{span or exec_properties['fingerprint']}.csv"
        )
        tables = self._tables(directory, data, features)
        number = tables["interactions"].shards
        writer = shards.Writer(output_dict["examples"], SPLITS)
        with self._make_beam_pipeline() as pipeline:
            read = {name: pipeline | f"Read {name}" >> table for name, table in tables.items()}
            counts = [one[COUNTS] for one in read.values()] | "AllCounts" >> beam.Flatten() | beam.CombinePerKey(sum)
            sides: dict[str, Any] = {"counts": beam.pvalue.AsDict(counts)}
            named = read.get("items", read["interactions"]).packs | "ItemIds" >> beam.MapTuple(_ids)
            items = beam.pvalue.AsList(named)
            if "items" in read:
                sides["items"] = items
            if split.kind == "global_temporal":
                hours = read["interactions"].packs | "Hours" >> beam.FlatMapTuple(_hours)
                hours |= "OfHours" >> beam.CombinePerKey(sum)
                cut = hours | beam.combiners.ToList() | beam.Map(_cut, split.eval_share)
                sides["cut"] = beam.pvalue.AsSingleton(cut)
            groups = {"rows": read["interactions"].packs}
            if "users" in read:
                groups["users"] = read["users"].packs
            to_examples = ToExamples(split, features, tables["interactions"].files, number, writer)
            examples = (
                groups
                | "GroupByShard" >> beam.CoGroupByKey()
                | "Examples" >> beam.ParDo(to_examples, **sides).with_outputs(REJECTED, "summary", main="written")
            )
            writer.commit(examples.written)
            all_rejected = [*(one[REJECTED] for one in read.values()), examples[REJECTED]]
            rejected = all_rejected | "Rejected" >> beam.Flatten()
            listed = rejected | "Listed" >> beam.combiners.Top.Smallest(_MOST_LISTED)
            listed | "WriteRejected" >> beam.Map(_write_rejected, rejected_file)
            rejected_count = rejected | "CountRejected" >> beam.combiners.Count.Globally()
            examples.summary | WriteSummary(summary_uri, span, listed, rejected_count, counts, items)
        check(read_summary(summary_uri), data, features, directory, rejected_file)

    def _tables(self, directory: str, data: Tables, features: FeatureSet) -> dict[str, ReadTable]:
        interactions = ReadTable(
            "interactions",
            directory,
            data.interactions,
            functools.partial(parsing.interactions, table=data.interactions),
            n.USER_ID,
        )
        tables = {"interactions": interactions}
        if data.items:
            parse = functools.partial(parsing.entities, table=data.items, id_name=n.ITEM_ID)
            tables["items"] = ReadTable("items", directory, data.items, parse, n.ITEM_ID)
        if data.users and features.users:
            parse = functools.partial(parsing.entities, table=data.users, id_name=n.USER_ID)
            tables["users"] = ReadTable("users", directory, data.users, parse, n.USER_ID, interactions.shards)
        return tables


def _ids(_shard: int, packed: bytes) -> bytes:
    ids = shards.unpack([packed])[n.ITEM_ID].unique()
    return shards.pack(pa.RecordBatch.from_pydict({n.ITEM_ID: ids}))


def _hours(_shard: int, packed: bytes) -> Iterator[tuple[int, int]]:
    """Hours, with the rows in each."""
    hours, counts = np.unique(shards.unpack([packed])[n.TIMESTAMP].to_numpy() // _HOUR, return_counts=True)
    yield from zip(hours.tolist(), counts.tolist(), strict=True)


def _cut(hours: list[tuple[int, int]], eval_share: float) -> int:
    """The full hour, in Unix seconds, after which about `eval_share` of the rows lie."""
    remaining = sum(count for _, count in hours) * eval_share
    for hour, count in sorted(hours, reverse=True):
        remaining -= count
        if remaining <= 0:
            return hour * _HOUR
    return 0


def _write_rejected(rows: list[Rejected], path: str) -> None:
    """Writes the reject file, whole."""
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "w") as file:
        for row in [Rejected._fields, *rows]:
            file.write(to_csv_line(row) + "\n")
