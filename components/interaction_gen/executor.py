"""Reads interactions, joins the items, splits, and attaches histories, as a Beam job."""

from __future__ import annotations

import collections
import json
import os
from typing import Any

import apache_beam as beam
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.artifacts import SUMMARY_FILE, read_summary
from components.interaction_gen.examples import SPLITS, Event, ToExamples
from components.interaction_gen.item_join import ItemsByShard
from components.interaction_gen.settings import Split
from components.tables import reading, shards, spans
from components.tables.records import REJECTED, FirstRows, ReadRow, ReadTable, Rejected, to_csv_line
from components.tables.settings import Tables
from models.errors import UserError
from models.features import names as n
from models.features.feature_set import FeatureSet

_HOUR = 3600
_MOST_LISTED = 100_000  # Rejected rows, which one worker holds and writes; all are counted.


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the splits `train` and `eval`, a summary of the data, and the rejected rows."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        """Generates the examples.

        Raises:
          UserError: more rows were rejected than the configuration allows, or a split is empty.
        """
        data = Tables.model_validate_json(exec_properties["data"])
        split = Split.model_validate_json(exec_properties["split"])
        directory, span = spans.resolve(exec_properties["directory"], exec_properties["span"])
        summary_uri = artifact_utils.get_single_uri(output_dict["summary"])
        rejected_file = os.path.join(
            exec_properties["rejected_rows_dir"] or summary_uri, f"{span or exec_properties['fingerprint']}.csv"
        )
        interactions = ReadTable(directory, data.interactions, reading.interaction)
        number = shards.shard_count(interactions.files)
        features = FeatureSet.model_validate_json(exec_properties["features"])
        writer = shards.Writer(output_dict["examples"], SPLITS)
        with self._make_beam_pipeline() as pipeline:
            read = pipeline | "Interactions" >> interactions
            item_table = pipeline | "ItemTable" >> ReadTable(
                directory, data.items, lambda values: reading.entity(values, data.items, n.ITEM_ID)
            )
            items = item_table.rows | "Items" >> FirstRows()
            rejected = [read[REJECTED], item_table[REJECTED]]
            rows = read.rows | "ByShard" >> beam.Map(_by_shard, number)
            groups = {
                "rows": rows | "Pack" >> beam.ParDo(shards.Pack(number)),
                "items": (rows, items) | ItemsByShard(number),
            }
            tables = {"items": item_table.rows}
            if features.users:
                users = pipeline | "Users" >> ReadTable(
                    directory, data.users, lambda values: reading.entity(values, data.users, n.USER_ID)
                )
                groups["users"] = users.rows | "FirstUsers" >> FirstRows() | "PackUsers" >> shards.PackByKey(number)
                rejected.append(users[REJECTED])
                tables["users"] = users.rows
            sides = []
            if split.kind == "global_temporal":
                hours = (
                    read.rows | beam.Map(lambda row: row.parsed.timestamp // _HOUR) | beam.combiners.Count.PerElement()
                )
                cut = hours | beam.combiners.ToList() | beam.Map(_cut, split.eval_share)
                sides.append(beam.pvalue.AsSingleton(cut))
            to_examples = ToExamples(split, features, interactions.files, data.interactions.delimiter, number, writer)
            examples = (
                groups
                | "GroupByShard" >> beam.CoGroupByKey()
                | "Examples" >> beam.ParDo(to_examples, *sides).with_outputs(REJECTED, "summary", main="written")
            )
            writer.commit(examples.written)
            rejected = [*rejected, examples[REJECTED]] | "Rejected" >> beam.Flatten()
            listed = rejected | "Listed" >> beam.combiners.Top.Smallest(_MOST_LISTED)
            listed | "WriteRejected" >> beam.Map(_write_rejected, rejected_file)
            unreadable = [
                rows | f"Unreadable {name}" >> beam.FlatMap(_unreadable, name) for name, rows in tables.items()
            ]
            unreadable = (
                unreadable | "Unreadable" >> beam.Flatten() | "CountUnreadable" >> beam.combiners.Count.PerElement()
            )
            _write_summary(rejected, listed, examples.summary, items, unreadable, span, summary_uri)
        _check(data, directory, summary_uri, rejected_file)


def _by_shard(row: ReadRow, number: int) -> tuple[int, Event]:
    """An event with its user's shard."""
    read = row.parsed
    event = Event(read.user_id, read.timestamp, row.file, row.line, read.item_id, read.rating)
    return shards.shard_of(event.user_id, number), event


def _unreadable(row: ReadRow, table: str) -> list[str]:
    return [f"{table}.{name}" for name in row.parsed.unreadable]


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


def _write_summary(rejected, listed, counts, items, unreadable, span: str, uri: str) -> None:
    """Writes the counts of the data set, and its span, as JSON."""

    def write(_, counts: list[dict], listed: list[Rejected], rejected: int, items: int, unreadable: dict) -> None:
        total = collections.Counter(rejected_rows=rejected, items=items, users=0, interactions=0, train=0, eval=0)
        for one in counts:
            total.update(one)
        fileio.makedirs(uri)
        with fileio.open(os.path.join(uri, SUMMARY_FILE), "w") as file:
            shown = [
                f"{os.path.basename(row.file)}, line {row.line}: {row.reason}"
                for row in listed[: reading.SHOWN_REASONS]
            ]
            more = {"span": span, "first_rejected": shown, "unreadable": unreadable}
            file.write(json.dumps(total | more, indent=2))

    (
        counts.pipeline
        | "Once" >> beam.Create([None])
        | "WriteSummary"
        >> beam.Map(
            write,
            beam.pvalue.AsList(counts),
            beam.pvalue.AsSingleton(listed),
            beam.pvalue.AsSingleton(rejected | "CountRejected" >> beam.combiners.Count.Globally()),
            beam.pvalue.AsSingleton(items | "CountItems" >> beam.combiners.Count.Globally()),
            beam.pvalue.AsDict(unreadable),
        )
    )


def _check(data: Tables, directory: str, summary_uri: str, rejected_file: str) -> None:
    summary = read_summary(summary_uri)
    rejected, accepted = summary["rejected_rows"], summary["interactions"]
    if rejected > data.max_rejected_share * (rejected + accepted):
        raise UserError(
            f"{directory}: {rejected} rows were rejected and {accepted} interactions accepted, more than the allowed "
            f"{data.max_rejected_share:.2%}: {'; '.join(summary['first_rejected'])}. "
            f"They are listed in {rejected_file}; mend them, or raise data.max_rejected_share"
        )
    for split in SPLITS:
        if not summary[split]:
            raise UserError(
                f"the split leaves no {split} interactions of {accepted}: give more data, or change split.eval_share"
            )
