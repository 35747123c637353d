"""Messages of TensorFlow Serving's configuration files that `tensorflow-serving-api` leaves out.

From tensorflow_serving/servables/tensorflow/session_bundle_config.proto and tensorflow_serving/config/
monitoring_config.proto, with the same numbers, so that text files for TensorFlow Serving can be read.
"""

from __future__ import annotations

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_FILE = "recommender/serving_config.proto"


def _field(name: str, number: int, kind: int = _Field.TYPE_MESSAGE, of: str | None = None, repeated: bool = False):
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    return _Field(name=name, number=number, type=kind, type_name=of, label=label)


def _messages() -> dict[str, type]:
    int64, boolean = ".google.protobuf.Int64Value", ".google.protobuf.BoolValue"
    fields = {
        "BatchingParameters": [
            _field("max_batch_size", 1, of=int64),
            _field("batch_timeout_micros", 2, of=int64),
            _field("max_enqueued_batches", 3, of=int64),
            _field("num_batch_threads", 4, of=int64),
            _field("thread_pool_name", 5, of=".google.protobuf.StringValue"),
            _field("allowed_batch_sizes", 6, _Field.TYPE_INT64, repeated=True),
            _field("pad_variable_length_inputs", 7, _Field.TYPE_BOOL),
            _field("enable_large_batch_splitting", 8, of=boolean),
            _field("max_execution_batch_size", 9, of=int64),
        ],
        "PrometheusConfig": [_field("enable", 1, _Field.TYPE_BOOL), _field("path", 2, _Field.TYPE_STRING)],
        "MonitoringConfig": [_field("prometheus_config", 1, of=".recommender.serving.PrometheusConfig")],
    }
    file = descriptor_pb2.FileDescriptorProto(
        name=_FILE, package="recommender.serving", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    for name, of in fields.items():
        file.message_type.add(name=name, field=of)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetMessages([_FILE])


_found = _messages()
BatchingParameters = _found["recommender.serving.BatchingParameters"]
MonitoringConfig = _found["recommender.serving.MonitoringConfig"]
