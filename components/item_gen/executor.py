"""Reads the items, each once, whether or not anybody had it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.artifacts import read_summary
from components.files import ITEMS_SPLIT, SPLITS
from components.tables import shards, spans
from components.tables.causes import MERGED
from components.tables.records import COUNTS, Counts, ReadTable, feature_columns, merge, to_examples, vector_lengths
from components.tables.settings import Tables
from models.features import names as n
from models.features.feature_set import FeatureSet
from models.timelines import TEXT, Layout, read_timelines


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the split `items`. Of rows with the same item id the first counts; of interactions what most of them say.

    Without a table of items they are those that the interactions name.
    """

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        data = Tables.model_validate_json(exec_properties["data"])
        features = FeatureSet.model_validate_json(exec_properties["features"])
        writer = shards.Writer(output_dict["examples"], [ITEMS_SPLIT])
        with self._make_beam_pipeline() as pipeline:
            if data.items is None:
                files = [
                    path
                    for split in SPLITS
                    for path in shards.paths(artifact_utils.get_split_uri(input_dict["interactions"], split)).values()
                ]
                ids = pipeline | "Files" >> beam.Create(files) | "Named" >> beam.Map(_named)
                written = ids | beam.combiners.ToList() | "Write" >> beam.Map(_write_named, writer)
            else:
                names = read_summary(artifact_utils.get_single_uri(input_dict["summary"]))["spans"]
                table = ReadTable("items", spans.of_names(exec_properties["directory"], names), data)
                read = pipeline | table
                counts = beam.pvalue.AsDict(read[COUNTS] | beam.CombinePerKey(sum))
                by_interactions = data.in_interactions(data.items)
                written = (
                    read.packs
                    | "GroupByShard" >> beam.GroupByKey()
                    | "Write" >> beam.Map(_write, counts, writer, features, table.files, table.shards, by_interactions)
                )
            writer.commit(written)


def _write(
    of_shard: tuple[int, Iterable[bytes]],
    counts: Counts,
    writer: shards.Writer,
    features: FeatureSet,
    files: Sequence[str],
    number: int,
    by_interactions: bool,
) -> tuple[str, str]:
    shard, packs = of_shard
    rows = shards.unpack(packs)
    rows, _ = merge(rows, n.ITEM_ID, "items", files, MERGED, by_interactions)  # InteractionGen has counted them.
    columns = feature_columns(rows, features.of_items(), vector_lengths(counts, "items"))
    return writer.write(ITEMS_SPLIT, shards.file_name(shard, number), to_examples(columns))


def _named(path: str) -> pa.Array:
    """The ids of a file's items."""
    return pa.array(read_timelines([path], Layout({}, {n.ITEM_ID: TEXT})).rows[n.ITEM_ID], pa.string()).unique()


def _write_named(ids: list[pa.Array], writer: shards.Writer) -> tuple[str, str]:
    items = pa.chunked_array(ids, pa.string()).unique()
    ordered = items.take(pc.array_sort_indices(items))
    return writer.write(ITEMS_SPLIT, shards.file_name(0, 1), to_examples({n.ITEM_ID: ordered}))
