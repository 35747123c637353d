"""TensorProtos to arrays and back, as TensorFlow reads and writes them (tensorflow/core/framework/tensor.cc)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow.core.framework import tensor_pb2

from serving.codec.dtypes import BY_NUMBER, BY_NUMPY, Dtype
from serving.codec.errors import exhausted, invalid

_MAX_RANK = 32  # NumPy's.
STRING_BYTES = 64  # What a string takes beside its own bytes, as an object and in TensorFlow.


def to_arrays(protos: Mapping[str, tensor_pb2.TensorProto], max_bytes: int) -> dict[str, np.ndarray]:
    """Arrays of a request's tensors.

    A tensor with fewer values than its shape says repeats the last one, or zero, so that a short message can stand for
    any amount of memory.

    Args:
      protos: by name.
      max_bytes: of all arrays together.

    Raises:
      RequestError: one is no valid tensor, or they take more than that.
    """
    arrays = {}
    for key, proto in protos.items():
        array = arrays[key] = _to_array(key, proto, max_bytes)
        max_bytes -= array.nbytes
    return arrays


def _to_array(key: str, proto: tensor_pb2.TensorProto, max_bytes: int) -> np.ndarray:
    dtype = BY_NUMBER.get(proto.dtype)
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if dtype is None or proto.tensor_shape.unknown_rank or len(shape) > _MAX_RANK or any(size < 0 for size in shape):
        raise invalid(f"tensor parsing error: {key}")
    size = math.prod(shape)
    values: Any = getattr(proto, dtype.field)
    if dtype.is_string and proto.tensor_content:
        values = _strings(key, proto.tensor_content, size)
    check_bytes(key, size, dtype, values, max_bytes)
    if proto.tensor_content and not dtype.is_string:
        if len(proto.tensor_content) != size * dtype.numpy.itemsize:
            raise invalid(f"tensor parsing error: {key}")
        return np.frombuffer(proto.tensor_content, dtype.numpy).reshape(shape)
    return _repeated(_of_values(values, dtype), size, dtype).reshape(shape)


def check_bytes(key: str, size: int, dtype: Dtype, values: Any, max_bytes: int) -> None:
    """Raises RequestError if an array of that size, whose last value is repeated, takes more memory than allowed."""
    needed = size * dtype.numpy.itemsize
    if dtype.is_string:
        needed = size * STRING_BYTES
        if values and needed <= max_bytes:
            needed += sum(map(len, values[:size])) + max(size - len(values), 0) * len(values[-1])
    if needed > max_bytes:
        raise exhausted(f"input {key} takes {needed} bytes, and the inputs of a request {max_bytes} at most")


def _of_values(values: Any, dtype: Dtype) -> np.ndarray:
    if dtype.is_string:
        array = np.empty(len(values), object)
        array[:] = values
        return array
    if dtype.field == "half_val":
        return np.array(values, np.int64).astype(np.uint16).view(dtype.numpy)
    if dtype.field in ("scomplex_val", "dcomplex_val"):
        parts = np.array(values[: len(values) // 2 * 2], dtype.numpy.type(0).real.dtype)
        return parts.view(dtype.numpy)
    if dtype.field == "int_val":
        return np.array(values, np.int64).astype(dtype.numpy)
    return np.array(values, dtype.numpy)


def _repeated(array: np.ndarray, size: int, dtype: Dtype) -> np.ndarray:
    if len(array) >= size:
        return array[:size]
    last = array[-1] if len(array) else b"" if dtype.is_string else 0
    return np.concatenate([array, np.full(size - len(array), last, dtype.numpy)])


def _strings(key: str, content: bytes, size: int) -> list[bytes]:
    """The strings of a `tensor_content`: their lengths as varints, then their bytes."""
    lengths: list[int] = []
    place = value = shift = 0
    while len(lengths) < size:
        if place == len(content) or shift > 63:
            raise invalid(f"tensor parsing error: {key}")
        value |= (content[place] & 0x7F) << shift
        shift += 7
        if content[place] < 0x80:
            lengths.append(value)
            value = shift = 0
        place += 1
    if place + sum(lengths) != len(content):
        raise invalid(f"tensor parsing error: {key}")
    strings = []
    for length in lengths:
        strings.append(content[place : place + length])
        place += length
    return strings


_SLICE = 8192  # Values written at once: the interpreter lets nobody else run meanwhile.


def fill(proto: tensor_pb2.TensorProto, array: np.ndarray, as_content: bool = False) -> None:
    """Puts an array into an empty TensorProto: into typed fields, or numbers into `tensor_content`."""
    dtype = BY_NUMPY[array.dtype]
    proto.dtype = dtype.number
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if as_content and not dtype.is_string:
        proto.tensor_content = array.tobytes()
        return
    flat = np.ascontiguousarray(array).reshape(-1)
    if dtype.field == "half_val":
        flat = flat.view(np.uint16)
    elif dtype.field in ("scomplex_val", "dcomplex_val"):
        flat = flat.view(dtype.numpy.type(0).real.dtype)
    field = getattr(proto, dtype.field)
    for start in range(0, len(flat), _SLICE):
        field.extend(flat[start : start + _SLICE].tolist())
