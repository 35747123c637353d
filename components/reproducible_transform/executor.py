"""Analyzes the train examples as TFX does, and then transforms all examples, file by file."""

from __future__ import annotations

from typing import Any
from unittest import mock

import apache_beam as beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.components.transform import executor
from tfx.types import artifact_utils

from components import shards
from components.reproducible_transform.source import OrderedExamples
from components.reproducible_transform.transformed import TransformFile

_ONE_WORKER = "--direct_num_workers=1"


class _Processor(executor.TransformProcessor):
    def _CreateTFXIO(self, dataset, schema: schema_pb2.Schema) -> OrderedExamples:
        return OrderedExamples(dataset.file_pattern, schema=schema)


class Executor(executor.Executor):
    """Gives the same output for the same input, and as many files, with the same names.

    TFX's own has Beam tune the size of batches by the time that they take, and reads and writes files in any order.
    Quantiles and sums, and with them the trained models, depend then on how busy the machine was.
    """

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        transformed = output_dict["transformed_examples"]
        workers = self._beam_pipeline_args
        # Sums and quantiles depend on who adds up what, so one worker analyzes; any number transforms.
        self._beam_pipeline_args = [*workers, _ONE_WORKER]
        only_analyzed = {key: artifacts for key, artifacts in output_dict.items() if artifacts is not transformed}
        with mock.patch.object(executor, "TransformProcessor", _Processor):  # TFX asks for no other.
            super().Do(input_dict, only_analyzed, exec_properties)
        self._beam_pipeline_args = workers

        examples = artifact_utils.get_single_instance(input_dict["examples"])
        splits = artifact_utils.decode_split_names(examples.split_names)
        uris = {split: artifact_utils.get_split_uri([examples], split) for split in splits}
        files = [(split, *file) for split, uri in uris.items() for file in shards.paths(uri).items()]
        writer = shards.Writer(transformed, splits)
        graph = artifact_utils.get_single_uri(output_dict["transform_graph"])
        with self._make_beam_pipeline() as pipeline:
            written = pipeline | "Files" >> beam.Create(files) | beam.ParDo(TransformFile(graph, writer))
            writer.commit(written)
