"""JSON requests to arrays and arrays to JSON answers, as TensorFlow Serving's REST API has them."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from serving.server.status import invalid

_MAX_DEPTH = 32  # No tensor has a higher rank.

Inputs = Mapping[str, meta_graph_pb2.TensorInfo]


def parse_inputs(body: Any, wanted: Inputs) -> tuple[dict[str, np.ndarray], bool]:
    """A request's arrays by input name, and whether it is in row form.

    Raises:
      RequestError: the body does not fit the signature.
    """
    if not isinstance(body, dict) or not ("inputs" in body or "instances" in body):
        raise invalid("Missing 'inputs' or 'instances' key")
    if "inputs" in body and "instances" in body:
        raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' key")
    if "instances" in body:
        return _from_rows(body["instances"], wanted), True
    return _from_columns(body["inputs"], wanted), False


def _from_rows(rows: Any, wanted: Inputs) -> dict[str, np.ndarray]:
    if not isinstance(rows, list):
        raise invalid("Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid("'instances' is an empty list")
    if not _names_inputs(rows[0]):
        if len(wanted) != 1:
            raise invalid(f"Excepting 'instances' to be a list of objects with keys {', '.join(sorted(wanted))}")
        name = next(iter(wanted))
        return {name: _array(name, rows, wanted[name])}
    for number, row in enumerate(rows):
        if not _names_inputs(row) or row.keys() != wanted.keys():
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. Each has to be an object with the keys "
                f"{', '.join(sorted(wanted))}"
            )
    return {name: _array(name, [row[name] for row in rows], info) for name, info in wanted.items()}


def _from_columns(columns: Any, wanted: Inputs) -> dict[str, np.ndarray]:
    if not _names_inputs(columns):
        if len(wanted) != 1:
            raise invalid(f"'inputs' is a plain value/list, but expecting keys {', '.join(sorted(wanted))}")
        columns = {next(iter(wanted)): columns}
    for name in wanted:
        if name not in columns:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(name, columns[name], info) for name, info in wanted.items()}


def _names_inputs(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() != {"b64"}


def _array(name: str, value: Any, info: meta_graph_pb2.TensorInfo) -> np.ndarray:
    dtype = tf.dtypes.as_dtype(info.dtype)
    flat: list[Any] = []
    try:
        shape = _flatten(name, value, flat, dtype, _MAX_DEPTH)
    except UnicodeEncodeError as error:  # JSON can hold half of a surrogate pair.
        raise invalid(f"JSON Parse error: a string of {name} is no Unicode text: {error.reason}") from error
    array = np.empty(len(flat), object if dtype == tf.string else dtype.as_numpy_dtype)
    try:
        with np.errstate(over="ignore"):
            array[:] = flat
    except (OverflowError, ValueError) as error:
        raise invalid(f"JSON value of {name} does not fit {dtype.name}: {error}") from error
    if not _in_range(flat, array, dtype):
        raise invalid(f"JSON value of {name} does not fit {dtype.name}: out of range")
    if 0 in shape:  # An empty list does not show its rank.
        shape += [0] * (len(info.tensor_shape.dim) - len(shape))
    return array.reshape(shape)


def _in_range(flat: list[Any], array: np.ndarray, dtype: tf.DType) -> bool:
    """Whether the array holds the same numbers: NumPy wraps integers around, and makes large floats infinite."""
    if dtype.is_integer and flat:
        return dtype.min <= min(flat) and max(flat) <= dtype.max
    if dtype.is_floating:
        return np.isinf(array).sum() == sum(map(math.isinf, flat))
    return True


def _flatten(name: str, value: Any, flat: list[Any], dtype: tf.DType, depth: int) -> list[int]:
    """Appends the leaves of nested lists, at most `depth` deep, to `flat`; returns the shape."""
    if not isinstance(value, list):
        flat.append(_leaf(name, value, dtype))
        return []
    if not depth:
        raise invalid(f"Lists nest more than {_MAX_DEPTH} deep in tensor {name}")
    if set(map(type, value)) <= _plain_types(dtype):  # The usual case: values need not be checked one by one.
        flat.extend(map(str.encode, value) if dtype == tf.string else value)
        return [len(value)]
    shapes = [_flatten(name, item, flat, dtype, depth - 1) for item in value]
    if any(shape != shapes[0] for shape in shapes):
        raise invalid(f"Encountered lists of different lengths in tensor {name}")
    return [len(value), *(shapes[0] if shapes else [])]


def _plain_types(dtype: tf.DType) -> set[type]:
    """Types of JSON values that need no conversion for this dtype."""
    if dtype == tf.string:
        return {str}
    if dtype == tf.bool:
        return {bool}
    return {int, float} if dtype.is_floating else {int}


def _leaf(name: str, value: Any, dtype: tf.DType) -> Any:
    if type(value) in _plain_types(dtype):
        return value.encode() if dtype == tf.string else value
    if dtype == tf.string and isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except ValueError as error:
            raise invalid(f"Unable to base64 decode the value of {name}") from error
    kind = "object" if isinstance(value, dict) else "null" if value is None else type(value).__name__
    raise invalid(f"JSON Value: {value!r} Type: {kind} is not of expected type: {dtype.name} (tensor {name})")


def format_outputs(outputs: Mapping[str, np.ndarray], by_row: bool) -> dict[str, Any]:
    """The answer's body. Row form needs outputs that share their first dimension."""
    columns = {name: _plain(name, array) for name, array in outputs.items()}
    if not by_row:
        return {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}
    sizes = {array.shape[0] if array.ndim else None for array in outputs.values()}
    if len(sizes) != 1 or None in sizes:
        raise invalid("The outputs of this signature do not share a batch dimension: ask with 'inputs'")
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]}


def _plain(name: str, array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    encode = _as_base64 if name.endswith("_bytes") else _as_text
    texts = np.empty(array.size, object)
    texts[:] = [encode(value) for value in array.flat]
    return texts.reshape(array.shape).tolist()


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _as_base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}
