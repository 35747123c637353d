"""TensorFlow Serving's gRPC messages that a client needs, without TensorFlow.

From model, predict and get_model_metadata of tensorflow_serving/apis and from tensor, tensor_shape and meta_graph of
tensorflow/core, with the same numbers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

from serving import message_classes

_CLASSES = message_classes.make(
    "recommender",
    {
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
        "ModelSpec": [
            ("name", 1, "string"),
            ("version", 2, "google.protobuf.Int64Value"),
            ("signature_name", 3, "string"),
        ],
        "PredictRequest": [("model_spec", 1, "ModelSpec"), ("inputs", 2, "{}TensorProto")],
        "PredictResponse": [("outputs", 1, "{}TensorProto")],
        "GetModelMetadataRequest": [("model_spec", 1, "ModelSpec"), ("metadata_field", 2, "[]string")],
        "GetModelMetadataResponse": [("model_spec", 1, "ModelSpec"), ("metadata", 2, "{}google.protobuf.Any")],
        "TensorInfo": [("dtype", 2, "int32")],
        "SignatureDef": [("inputs", 1, "{}TensorInfo"), ("outputs", 2, "{}TensorInfo")],
        "SignatureDefMap": [("signature_def", 1, "{}SignatureDef")],
    },
)

PredictRequest, PredictResponse = _CLASSES["PredictRequest"], _CLASSES["PredictResponse"]
GetModelMetadataRequest = _CLASSES["GetModelMetadataRequest"]
GetModelMetadataResponse = _CLASSES["GetModelMetadataResponse"]
SignatureDefMap = _CLASSES["SignatureDefMap"]

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
