"""Analyzes train examples and items by TFT's Beam API, and then transforms the examples, file by file."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection
from typing import Any

import apache_beam as beam
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata.dataset_metadata import DatasetMetadata
from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from components.artifacts import split_files
from components.beam_args import ONE_WORKER
from components.files import EVAL_SPLIT, ITEMS_SPLIT, TRAIN_SPLIT
from components.tables import shards
from components.transform.source import OrderedExamples
from components.transform.transformed import TransformFile
from models.features import names as n
from models.features.feature_set import FeatureSet
from models.features.preprocessing import preprocessing_fn
from models.features.schema import joint_schema
from models.settings import Transform

_SCRATCH = "unfinished"  # Below the graph, as all workers reach that.


class Executor(base_beam_executor.BaseBeamExecutor):
    """Gives the same output for the same input, and as many files, with the same names."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict[str, Any]) -> None:
        settings = Transform.model_validate_json(exec_properties["settings"])
        features = FeatureSet.model_validate_json(exec_properties["features"])
        schema = joint_schema([_schema(input_dict[name]) for name in ("schema", "item_schema")])
        graph = artifact_utils.get_single_uri(output_dict["transform_graph"])
        analyzed = split_files(input_dict["examples"], TRAIN_SPLIT) + split_files(input_dict["items"], ITEMS_SPLIT)
        workers = self._beam_pipeline_args
        # Sums and quantiles depend on who adds up what, so one worker analyzes; any number transforms.
        self._beam_pipeline_args = [*workers, ONE_WORKER]
        with self._make_beam_pipeline() as pipeline:
            analyze(pipeline, analyzed, schema, features, settings, graph)
        self._beam_pipeline_args = workers
        fileio.rmtree(os.path.join(graph, _SCRATCH))

        of_rows = [*features.model_users(), n.OVERLAP, *features.model_interactions()]
        outputs = {TRAIN_SPLIT: of_rows, EVAL_SPLIT: [*of_rows, n.ITEM_KEY]}
        files = [
            (split, *file)
            for split in outputs
            for file in shards.paths(artifact_utils.get_split_uri(input_dict["examples"], split)).items()
        ]
        writer = shards.Writer(output_dict["transformed_examples"], [*outputs])
        transform_file = TransformFile(graph, [*features.of_timelines()], outputs, writer)
        with self._make_beam_pipeline() as pipeline:
            written = pipeline | "Files" >> beam.Create(files) | beam.ParDo(transform_file)
            writer.commit(written)


def _schema(artifacts: list) -> schema_pb2.Schema:
    path = os.path.join(artifact_utils.get_single_uri(artifacts), DEFAULT_FILE_NAME)
    return io_utils.parse_pbtxt_file(path, schema_pb2.Schema())


def analyze(
    pipeline: beam.Pipeline,
    files: Collection[str],
    schema: schema_pb2.Schema,
    features: FeatureSet,
    settings: Transform,
    graph: str,
) -> None:
    """Adds the analysis of examples to a Beam pipeline, which leaves in `graph` what `tft.TFTransformOutput` reads.

    Args:
      pipeline: Beam's.
      files: patterns of the files of train examples and of items.
      schema: of both, any of which may lack a feature.
      features: of the data set.
      settings: of the features.
      graph: the directory.
    """
    preprocess = functools.partial(preprocessing_fn, features=features, settings=settings)
    source = OrderedExamples(files, schema=schema)
    specs = source.TensorAdapter().OriginalTypeSpecs()
    source = source.Project(list(tft.get_analyze_input_columns(preprocess, specs)))
    with tft_beam.Context(temp_dir=os.path.join(graph, _SCRATCH), use_deep_copy_optimization=True):
        train = pipeline | "Train" >> source.BeamSource()
        analyzed = (train, source.TensorAdapterConfig()) | "Analyze" >> tft_beam.AnalyzeDataset(preprocess)
    raw_metadata = os.path.join(graph, tft.TFTransformOutput.RAW_METADATA_DIR)
    DatasetMetadata(schema) | "WriteMetadata" >> tft_beam.WriteMetadata(raw_metadata, pipeline)
    analyzed | "WriteTransformFn" >> tft_beam.WriteTransformFn(graph)
