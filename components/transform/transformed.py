"""Raw examples to transformed ones, a file at a time."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform import impl_helper
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tfx_bsl.coders import example_coder

from components.tables import shards
from models import inputs

_ROWS = 1000  # In a batch.


class TransformFile(beam.DoFn):
    """Writes a file's transformed examples, in the same order and under the same name; yields what is to commit.

    TFT's own way from a graph to examples passes batches through Beam and loses what file a row comes from.
    """

    def __init__(self, transform_graph: str, writer: shards.Writer):
        self._graph = transform_graph
        self._writer = writer

    def setup(self) -> None:
        transform = tft.TFTransformOutput(self._graph)
        raw = transform.raw_feature_spec()
        loaded = self._loaded = SavedModelLoader(transform.transform_savedmodel_dir)
        self._transform = tf.function(
            lambda records: loaded.apply_transform_model(tf.io.parse_example(records, raw)),
            [tf.TensorSpec([None], tf.string)],
        )
        schema = transform.transformed_metadata.schema
        self._to_arrow = impl_helper.make_tensor_to_arrow_converter(schema)
        self._encoder = example_coder.RecordBatchToExamplesEncoder(schema)

    def process(self, file: tuple[str, str, str]) -> Iterator[tuple[str, str]]:
        split, name, path = file
        yield self._writer.write(split, name, self._examples(path))

    def _examples(self, path: str) -> Iterator[bytes]:
        for records in inputs.record_batches([path], _ROWS):
            yield from self._encoder.encode(self._to_arrow.convert(self._transform(records)))
