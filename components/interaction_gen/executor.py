"""Reads the interactions, joins the users, splits, and writes timelines, as a Beam job."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
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
from components.interaction_gen.window import check_window
from components.tables import shards, spans
from components.tables.causes import MERGED, REJECTED, Unused, joined
from components.tables.records import COUNTS, UNUSED, ReadTable, merge, to_csv_line
from components.tables.settings import Tables
from models.features import names as n
from models.features.feature_set import FeatureSet

_HOUR = 3600
_MOST_LISTED = 100_000  # Rows, which one worker holds and writes; all are counted.


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
        window = spans.resolve(exec_properties["directory"], exec_properties["span"], exec_properties["window"])
        check_window(window, data, exec_properties["missing_spans"])
        summary_uri = artifact_utils.get_single_uri(output_dict["summary"])
        rejected_file = os.path.join(
            exec_properties["rejected_rows_dir"] or summary_uri, f"{window.name or exec_properties['fingerprint']}.csv"
        )
        tables = self._tables(window, data, features)
        repeated = REJECTED if data.duplicates == "reject" else MERGED
        number = tables["interactions"].shards
        writer = shards.Writer(output_dict["examples"], SPLITS)
        with self._make_beam_pipeline() as pipeline:
            read = {name: pipeline | f"Read {name}" >> table for name, table in tables.items()}
            counts = [one[COUNTS] for one in read.values()] | "ReadCounts" >> beam.Flatten() | beam.CombinePerKey(sum)
            sides: dict[str, Any] = {"counts": beam.pvalue.AsDict(counts)}
            steps = [*read.values()]
            if "items" in read:
                of_items = (
                    read["items"].packs
                    | "GroupItems" >> beam.GroupByKey()
                    | "ItemIds"
                    >> beam.ParDo(_Ids(tables["items"].files, repeated)).with_outputs(UNUSED, COUNTS, main="ids")
                )
                steps.append(of_items)
                items = sides["items"] = beam.pvalue.AsList(of_items.ids)
            else:
                items = beam.pvalue.AsList(read["interactions"].packs | "ItemIds" >> beam.MapTuple(_ids))
            if split.kind == "global_temporal":
                hours = read["interactions"].packs | "Hours" >> beam.FlatMapTuple(_hours)
                hours |= "OfHours" >> beam.CombinePerKey(sum)
                cut = hours | beam.combiners.ToList() | beam.Map(_cut, split.eval_share)
                sides["cut"] = beam.pvalue.AsSingleton(cut)
            groups = {"rows": read["interactions"].packs}
            if "users" in read:
                groups["users"] = read["users"].packs
            files = {name: table.files for name, table in tables.items()}
            by_interactions = bool(data.users and data.in_interactions(data.users))
            to_examples = ToExamples(split, features, files, number, writer, repeated, by_interactions)
            examples = (
                groups
                | "GroupByShard" >> beam.CoGroupByKey()
                | "Examples" >> beam.ParDo(to_examples, **sides).with_outputs(UNUSED, COUNTS, "summary", main="written")
            )
            writer.commit(examples.written)
            steps.append(examples)
            unused = [step[UNUSED] for step in steps] | "Unused" >> beam.Flatten()
            listed = unused | "Listed" >> beam.combiners.Top.Smallest(_MOST_LISTED)
            listed | "WriteUnused" >> beam.Map(_write_unused, rejected_file)
            causes = unused | "Causes" >> beam.FlatMap(_cause) | "CountCauses" >> beam.CombinePerKey(joined)
            later = [step[COUNTS] for step in steps[len(read) :]] | "LaterCounts" >> beam.Flatten()
            counts = [counts, later | "SumLater" >> beam.CombinePerKey(sum)] | "AllCounts" >> beam.Flatten()
            times = tables["interactions"].times
            examples.summary | WriteSummary(summary_uri, window, times, causes, counts, items)
        check(read_summary(summary_uri), data, split, features, window.newest, rejected_file)

    def _tables(self, window: spans.Window, data: Tables, features: FeatureSet) -> dict[str, ReadTable]:
        tables = {}
        if data.items:
            tables["items"] = ReadTable("items", window, data)
        interactions = ReadTable("interactions", window, data)
        if data.users and features.users:
            tables["users"] = ReadTable("users", window, data, interactions.shards)
        return tables | {"interactions": interactions}


class _Ids(beam.DoFn):
    """The ids of a shard's items as a pack, and to UNUSED and COUNTS what became of their rows."""

    def __init__(self, files: Sequence[str], repeated: str):
        self._files, self._repeated = files, repeated

    def process(self, of_shard: tuple[int, Iterable[bytes]]) -> Iterator[bytes | beam.pvalue.TaggedOutput]:
        _, packs = of_shard
        first, became = merge(shards.unpack(packs), n.ITEM_ID, "items", self._files, self._repeated)
        yield from became
        yield _pack_ids(first[n.ITEM_ID].combine_chunks())


def _ids(_shard: int, packed: bytes) -> bytes:
    return _pack_ids(shards.unpack([packed])[n.ITEM_ID].unique())


def _pack_ids(ids: pa.Array) -> bytes:
    return shards.pack(pa.RecordBatch.from_pydict({n.ITEM_ID: ids}))


def _cause(row: Unused) -> Iterator[tuple[tuple[str, str], tuple[int, Unused]]]:
    if row.outcome == REJECTED:
        yield (row.table, row.cause), (1, row)


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


def _write_unused(rows: list[Unused], path: str) -> None:
    """Writes the list of rows that do not count as they stand, whole."""
    fileio.makedirs(os.path.dirname(path))
    with fileio.open(path, "w") as file:
        file.write(to_csv_line(("table", "outcome", "file", "line", "reason", "row")) + "\n")
        for row in rows:
            file.write(to_csv_line((row.table, row.outcome, row.file, row.line, row.reason, row.row)) + "\n")
