"""Raw examples to transformed ones, a file at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform import impl_helper
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader
from tfx_bsl.coders import example_coder

from components.tables import shards
from models import inputs

_EXAMPLES = 256  # In a batch.


class TransformFile(beam.DoFn):
    """Writes a file's transformed examples, in the same order and under the same name; yields what is to commit.

    TFT's own way from a graph to examples passes batches through Beam and loses what file a row comes from.
    """

    def __init__(
        self, transform_graph: str, features: Sequence[str], outputs: Mapping[str, Sequence[str]], writer: shards.Writer
    ):
        """`features`: those of the raw examples; `outputs`: by split, the names of what is written."""
        self._graph = transform_graph
        self._features = features
        self._outputs = outputs
        self._writer = writer

    def setup(self) -> None:
        transform = tft.TFTransformOutput(self._graph)
        spec = transform.raw_feature_spec()
        raw = {name: spec[name] for name in self._features}
        loaded = self._loaded = SavedModelLoader(transform.transform_savedmodel_dir)
        self._transform = tf.function(
            lambda records: loaded.apply_transform_model(tf.io.parse_example(records, raw)),
            [tf.TensorSpec([None], tf.string)],
            autograph=False,  # It takes longer than the rows of small data.
        )
        self._coders = {split: _coders(transform, names) for split, names in self._outputs.items()}

    def process(self, file: tuple[str, str, str]) -> Iterator[tuple[str, str]]:
        split, name, path = file
        yield self._writer.write(split, name, self._examples(split, path))

    def _examples(self, split: str, path: str) -> Iterator[bytes]:
        to_arrow, encoder = self._coders[split]
        for records in inputs.record_batches([path], _EXAMPLES):
            transformed = self._transform(records)
            yield from encoder.encode(to_arrow.convert({name: transformed[name] for name in self._outputs[split]}))


def _coders(transform: tft.TFTransformOutput, names: Sequence[str]) -> tuple[Any, Any]:
    schema = schema_pb2.Schema()
    schema.feature.extend(entry for entry in transform.transformed_metadata.schema.feature if entry.name in names)
    return impl_helper.make_tensor_to_arrow_converter(schema), example_coder.RecordBatchToExamplesEncoder(schema)
