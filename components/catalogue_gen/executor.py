"""Reads the catalogue: every movie once, whether or not anybody rated it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from components import shards
from components.artifacts import read_summary
from components.interaction_gen.records import FirstRows, ReadTable, shuffled_examples
from pipeline import spans, tables
from pipeline.config import Data

SPLIT = "catalogue"


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the split `catalogue`. Of rows with the same movie id, the first counts."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        data = Data.model_validate_json(exec_properties["data"])
        span = read_summary(artifact_utils.get_single_uri(input_dict["summary"]))["span"]
        directory, _ = spans.resolve(exec_properties["directory"], span)
        catalogue = ReadTable(directory, data.catalogue, lambda values: tables.movie(values, data.catalogue))
        number = shards.count(catalogue.files)
        writer = shards.Writer(output_dict["examples"], [SPLIT])
        with self._make_beam_pipeline() as pipeline:
            read = pipeline | catalogue
            written = (
                read.rows
                | FirstRows()
                | "Pack" >> shards.PackByKey(number)
                | "GroupByShard" >> beam.GroupByKey()
                | "Examples" >> beam.MapTuple(lambda shard, packs: _write(writer, number, shard, packs))
            )
            writer.commit(written)


def _write(writer: shards.Writer, number: int, shard: int, packs: Iterable[bytes]) -> tuple[str, str]:
    examples = shuffled_examples(sorted(shards.unpacked(packs)), shard, _values)
    return writer.write(SPLIT, shards.name(shard, number), examples)


def _values(movie: tuple[str, str, list[str]]) -> dict[str, Any]:
    return dict(zip(("movie_id", "movie_title", "movie_genres"), movie, strict=True))
