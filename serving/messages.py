"""TensorFlow Serving's gRPC messages that a client needs, without TensorFlow.

From model, predict and get_model_metadata of tensorflow_serving/apis and from tensor, tensor_shape and meta_graph of
tensorflow/core, with the same numbers. They have a pool of their own, so a process may import TensorFlow, too.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE, _FILE = "recommender", "recommender/serving.proto"
_SCALARS = {"string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES, "int32": _Field.TYPE_INT32}
_SCALARS |= {"int64": _Field.TYPE_INT64, "float": _Field.TYPE_FLOAT, "double": _Field.TYPE_DOUBLE}
_SCALARS |= {"bool": _Field.TYPE_BOOL}

# Name, number and type of each field; [] repeats it, and {} is a map from strings.
_MESSAGES: dict[str, list[tuple[str, int, str]]] = {
    "Dim": [("size", 1, "int64")],
    "TensorShapeProto": [("dim", 2, "[]Dim")],
    "TensorProto": [
        ("dtype", 1, "int32"),  # An enum, which is the same on the wire.
        ("tensor_shape", 2, "TensorShapeProto"),
        ("tensor_content", 4, "bytes"),
        ("float_val", 5, "[]float"),
        ("double_val", 6, "[]double"),
        ("int_val", 7, "[]int32"),
        ("string_val", 8, "[]bytes"),
        ("int64_val", 10, "[]int64"),
        ("bool_val", 11, "[]bool"),
    ],
    "ModelSpec": [("name", 1, "string"), ("version", 2, "google.protobuf.Int64Value"), ("signature_name", 3, "string")],
    "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "{}TensorProto")],
    "PredictResponse": [("outputs", 1, "{}TensorProto")],
    "GetModelMetadataRequest": [("model_spec", 1, "ModelSpec"), ("metadata_field", 2, "[]string")],
    "GetModelMetadataResponse": [("model_spec", 1, "ModelSpec"), ("metadata", 2, "{}google.protobuf.Any")],
    "TensorInfo": [("dtype", 2, "int32")],
    "SignatureDef": [("inputs", 1, "{}TensorInfo"), ("outputs", 2, "{}TensorInfo")],
    "SignatureDefMap": [("signature_def", 1, "{}SignatureDef")],
}

# TensorFlow's names and numbers of the types, with the field of their values, and their code in `struct`.
DTYPES = {"DT_FLOAT": 1, "DT_DOUBLE": 2, "DT_INT32": 3, "DT_STRING": 7, "DT_INT64": 9, "DT_BOOL": 10}
_FIELDS = {
    1: ("float_val", "f"),
    2: ("double_val", "d"),
    3: ("int_val", "i"),
    7: ("string_val", ""),
    9: ("int64_val", "q"),
    10: ("bool_val", "?"),
}


def _file() -> descriptor_pb2.FileDescriptorProto:
    dependencies = [any_pb2.DESCRIPTOR.name, wrappers_pb2.DESCRIPTOR.name]
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package=_PACKAGE, syntax="proto3", dependency=dependencies)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            if kind.startswith("{}"):
                entry = message.nested_type.add(name=f"{field.title().replace('_', '')}Entry")
                entry.options.map_entry = True
                _add(entry, "key", 1, "string")
                _add(entry, "value", 2, kind[2:])
                kind = f"[]{name}.{entry.name}"
            _add(message, field, number, kind)
    return file


def _add(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    label = _Field.LABEL_REPEATED if kind.startswith("[]") else _Field.LABEL_OPTIONAL
    kind = kind.removeprefix("[]")
    field = message.field.add(name=name, number=number, label=label, type=_SCALARS.get(kind, _Field.TYPE_MESSAGE))
    if kind not in _SCALARS:
        field.type_name = f".{kind}" if kind.startswith("google.") else f".{_PACKAGE}.{kind}"


def _classes() -> dict[str, Any]:
    files = []
    for module in (any_pb2, wrappers_pb2):
        files.append(descriptor_pb2.FileDescriptorProto())
        module.DESCRIPTOR.CopyToProto(files[-1])
    found = message_factory.GetMessages([*files, _file()])
    return {name.removeprefix(f"{_PACKAGE}."): made for name, made in found.items()}


_CLASSES = _classes()
PredictRequest, PredictResponse = _CLASSES["PredictRequest"], _CLASSES["PredictResponse"]
GetModelMetadataRequest = _CLASSES["GetModelMetadataRequest"]
GetModelMetadataResponse = _CLASSES["GetModelMetadataResponse"]
SignatureDefMap = _CLASSES["SignatureDefMap"]


def fill_tensor(proto: Any, values: list, dtype: int | None) -> None:
    """Nested lists of one shape into a TensorProto; without a dtype they are texts or floats."""
    shape: list[int] = []
    level: Any = values
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    flat = [*_leaves(values)]
    if len(flat) != math.prod(shape):
        raise ValueError(f"rows are not equally long: {values}")
    proto.dtype = dtype or (DTYPES["DT_STRING"] if isinstance(level, str) else DTYPES["DT_FLOAT"])
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    name, code = _FIELDS[proto.dtype]
    getattr(proto, name).extend(flat if code else [text.encode() for text in flat])


def tensor_lists(proto: Any) -> list:
    """A TensorProto as nested lists; texts are decoded."""
    name, code = _FIELDS[proto.dtype]
    shape = [dim.size for dim in proto.tensor_shape.dim]
    count = math.prod(shape)
    if proto.tensor_content:
        flat: list = list(struct.unpack(f"<{count}{code}", proto.tensor_content))
    else:
        flat = list(getattr(proto, name))
        flat += flat[-1:] * (count - len(flat))  # The last value stands for those that are left out.
    if not code:
        flat = [text.decode() for text in flat]
    return _nested(flat, shape)


def _leaves(values: Any) -> Iterator[Any]:
    if not isinstance(values, list):
        yield values
        return
    for one in values:
        yield from _leaves(one)


def _nested(flat: list, shape: list[int]) -> list:
    for size in shape[:0:-1]:
        flat = (
            [flat[start : start + size] for start in range(0, len(flat), size)]
            if size
            else [[]] * math.prod(shape[:-1])
        )
    return flat
