"""Reads the items, each once, whether or not anybody had it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import apache_beam as beam
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components.artifacts import read_summary
from components.files import ITEMS_SPLIT
from components.tables import reading, shards, spans
from components.tables.records import FirstRows, ReadTable, shuffled_examples
from components.tables.settings import Tables
from models.features import names as n
from models.features.feature_set import FeatureSet
from models.features.kinds import Feature


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the split `items`. Of rows with the same item id, the first counts."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        data = Tables.model_validate_json(exec_properties["data"])
        span = read_summary(artifact_utils.get_single_uri(input_dict["summary"]))["span"]
        directory, _ = spans.resolve(exec_properties["directory"], span)
        table = ReadTable(directory, data.items, lambda values: reading.entity(values, data.items, n.ITEM_ID))
        features = FeatureSet.model_validate_json(exec_properties["features"]).of_items()
        number = shards.shard_count(table.files)
        writer = shards.Writer(output_dict["examples"], [ITEMS_SPLIT])
        with self._make_beam_pipeline() as pipeline:
            read = pipeline | table
            written = (
                read.rows
                | FirstRows()
                | "Pack" >> shards.PackByKey(number)
                | "GroupByShard" >> beam.GroupByKey()
                | "Examples" >> beam.MapTuple(lambda shard, packs: _write(writer, features, number, shard, packs))
            )
            writer.commit(written)


def _write(
    writer: shards.Writer, features: Mapping[str, Feature], number: int, shard: int, packs: Iterable[bytes]
) -> tuple[str, str]:
    examples = shuffled_examples(
        sorted(shards.unpacked(packs)), shard, lambda item: {n.ITEM_ID: item[0], **item[1]}, features
    )
    return writer.write(ITEMS_SPLIT, shards.file_name(shard, number), examples)
