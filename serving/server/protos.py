"""Messages of TensorFlow Serving's configuration files that `tensorflow-serving-api` leaves out.

From tensorflow_serving/servables/tensorflow/session_bundle_config.proto, and monitoring_config.proto and
ssl_config.proto in tensorflow_serving/config, with the same numbers, so that files for TensorFlow Serving can be read.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_FILE = "recommender/serving_config.proto"


def _field(
    name: str,
    number: int,
    kind: _Field.Type.ValueType = _Field.TYPE_MESSAGE,
    message: str | None = None,
    repeated: bool = False,
) -> descriptor_pb2.FieldDescriptorProto:
    label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    return _Field(name=name, number=number, type=kind, type_name=message, label=label)


def _messages() -> dict[str, Any]:
    """The messages' classes by full name."""
    int64, boolean = ".google.protobuf.Int64Value", ".google.protobuf.BoolValue"
    fields = {
        "BatchingParameters": [
            _field("max_batch_size", 1, message=int64),
            _field("batch_timeout_micros", 2, message=int64),
            _field("max_enqueued_batches", 3, message=int64),
            _field("num_batch_threads", 4, message=int64),
            _field("thread_pool_name", 5, message=".google.protobuf.StringValue"),
            _field("allowed_batch_sizes", 6, _Field.TYPE_INT64, repeated=True),
            _field("pad_variable_length_inputs", 7, _Field.TYPE_BOOL),
            _field("enable_large_batch_splitting", 8, message=boolean),
            _field("max_execution_batch_size", 9, message=int64),
        ],
        "PrometheusConfig": [_field("enable", 1, _Field.TYPE_BOOL), _field("path", 2, _Field.TYPE_STRING)],
        "SSLConfig": [
            _field("server_key", 1, _Field.TYPE_STRING),
            _field("server_cert", 2, _Field.TYPE_STRING),
            _field("custom_ca", 3, _Field.TYPE_STRING),
            _field("client_verify", 4, _Field.TYPE_BOOL),
        ],
        "MonitoringConfig": [_field("prometheus_config", 1, message=".recommender.serving.PrometheusConfig")],
    }
    file = descriptor_pb2.FileDescriptorProto(
        name=_FILE, package="recommender.serving", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    for name, message_fields in fields.items():
        file.message_type.add(name=name, field=message_fields)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.MessageFactory(pool).GetMessages([_FILE])


_classes = _messages()
BatchingParameters = _classes["recommender.serving.BatchingParameters"]
SSLConfig = _classes["recommender.serving.SSLConfig"]
MonitoringConfig = _classes["recommender.serving.MonitoringConfig"]
