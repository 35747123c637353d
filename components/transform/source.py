"""What Transform analyzes, in an order that nothing but the data decides."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
import pyarrow
import tensorflow as tf
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.tfxio import dataset_options, tf_example_record

_EXAMPLES = 256  # In a batch.


class OrderedExamples(tf_example_record.TFExampleRecord):
    """Reads files in the order of their names, and each as a whole, a batch of `_EXAMPLES` at a time.

    TFX's own source reads them in the order in which the file system lists them, and record by record.
    """

    def BeamSource(self, batch_size: int | None = None) -> beam.PTransform:
        files = sorted(path for pattern in self._file_pattern for path in tf.io.gfile.glob(pattern))
        return _ReadBatches(files, self._schema)

    def _ProjectImpl(self, tensor_names: list[str]) -> OrderedExamples:
        return OrderedExamples(self._file_pattern, schema=super()._ProjectImpl(tensor_names)._schema)


class _ReadBatches(beam.PTransform):
    def __init__(self, files: list[str], schema: schema_pb2.Schema):
        super().__init__()
        self._files = files
        self._schema = schema.SerializeToString()

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        batches = beam.FlatMap(_batches, self._schema).with_output_types(pyarrow.RecordBatch)
        return pbegin | "Files" >> beam.Create(self._files) | "Batches" >> batches


def _batches(path: str, schema: bytes) -> Iterator[pyarrow.RecordBatch]:
    source = tf_example_record.TFExampleRecord([path], schema=schema_pb2.Schema.FromString(schema))
    return source.RecordBatches(dataset_options.RecordBatchesOptions(_EXAMPLES, num_epochs=1, shuffle=False))
