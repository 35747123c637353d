"""Reads the catalogue: every movie once, whether or not anybody rated it."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from tfx.components.example_gen import base_example_gen_executor

from components.interaction_gen.records import FirstRows, ReadTable, seed_shuffle, to_example, with_splits
from pipeline import spans, tables
from pipeline.config import Data

SPLIT = "catalogue"


class Executor(base_example_gen_executor.BaseExampleGenExecutor):
    """Writes the split `catalogue`. Of rows with the same movie id, the first counts."""

    def GetInputSourceToExamplePTransform(self) -> beam.PTransform:
        raise TypeError("CatalogueGen overrides GenerateExamplesByBeam: it reads with its own table layout")

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        super().Do(input_dict, output_dict, with_splits(exec_properties, SPLIT))

    def GenerateExamplesByBeam(
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        data = Data.model_validate_json(exec_properties["data"])
        directory, _ = spans.resolve(exec_properties["directory"], exec_properties["span"])
        read = pipeline | ReadTable(directory, data.catalogue, lambda values: tables.movie(values, data.catalogue))
        return {SPLIT: read.rows | FirstRows() | beam.MapTuple(_example)}


def _example(movie_id: str, row: tuple[str, int, tuple]) -> bytes:
    seed_shuffle(movie_id)
    _, _, (_, title, genres) = row
    values = {"movie_id": movie_id, "movie_title": title, "movie_genres": genres}
    return to_example(values).SerializeToString(deterministic=True)
