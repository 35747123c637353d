"""Outputs to the bodies of answers, as TensorFlow Serving's REST API writes them. Imports nothing of a request."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.codec.dtypes import BY_NUMPY
from serving.codec.errors import invalid

_SLICE = 1024  # Rows written at once: the interpreter lets nobody else run meanwhile.


def format_outputs(outputs: Mapping[str, np.ndarray], by_row: bool) -> bytes:
    """The body of `:predict`. A number is the shortest text that reads back as the same number of its type.

    Raises:
      RequestError: a type that JSON does not have here, or, in row form, outputs that share no first dimension.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    for array in outputs.values():
        if not BY_NUMPY[array.dtype].in_json:
            raise invalid(f"Failed to write JSON value for tensor type: {BY_NUMPY[array.dtype].name}")
    write = _Finite() if all(map(_is_finite, outputs.values())) else _Any()
    if not by_row:
        members = [(name, b"".join(_pieces(name, array, write))) for name, array in outputs.items()]
        if len(members) == 1:
            return b'{"outputs": ' + members[0][1] + b"}"
        return b'{"outputs": {' + b", ".join(orjson.dumps(name) + b": " + text for name, text in members) + b"}}"
    rows = _rows(outputs)
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return b'{"predictions": ' + b"".join(_pieces(name, array, write)) + b"}"
    written = []
    for start in range(0, rows, _SLICE):
        columns = [write.values(name, array[start : start + _SLICE]) for name, array in outputs.items()]
        written.append(write.text([dict(zip(outputs, row, strict=True)) for row in zip(*columns, strict=True)])[1:-1])
    return b'{"predictions": [' + b",".join(written) + b"]}"


def _rows(outputs: Mapping[str, np.ndarray]) -> int:
    rows = 0
    for name, array in outputs.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if not len(array):
            raise invalid(f"Tensor name: {name} has invalid batch size: 0")
        if rows and len(array) != rows:
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {rows}")
        rows = len(array)
    return rows


def _pieces(name: str, array: np.ndarray, write: _Finite) -> Iterator[bytes]:
    """The text of an array, in pieces."""
    if not array.ndim:
        yield write.text(write.values(name, array[np.newaxis]))[1:-1]
        return
    for start in range(0, max(len(array), 1), _SLICE):
        yield b"," if start else b"["
        yield write.text(write.values(name, array[start : start + _SLICE]))[1:-1]
    yield b"]"


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


class _Finite:
    """Writes arrays without NaN and infinities."""

    def values(self, name: str, array: np.ndarray) -> Any:
        """The rows of an array, as `text` takes them."""
        if array.dtype != object:
            return np.ascontiguousarray(array)
        encode = _as_base64 if name.endswith("_bytes") else _as_text
        texts = np.empty(array.size, object)
        texts[:] = [encode(value) for value in array.flat]
        return texts.reshape(array.shape).tolist()

    def text(self, value: Any) -> bytes:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


class _Any(_Finite):
    """Writes also what JSON does not have, as TensorFlow Serving does: NaN and Infinity."""

    def values(self, name: str, array: np.ndarray) -> Any:
        if array.dtype.kind == "f":
            return np.array([float(text) for text in array.astype("U").flat]).reshape(array.shape).tolist()
        return array.tolist() if array.dtype != object else super().values(name, array)

    def text(self, value: Any) -> bytes:
        return json.dumps(value).encode()


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _as_base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def format_classes(result: classification_pb2.ClassificationResult) -> bytes:
    """`{"results": [[[label, score], …], …]}`"""
    return _results(
        [
            [[one.label, score] for one, score in zip(entry.classes, _shortest(entry.classes, "score"), strict=True)]
            for entry in result.classifications
        ]
    )


def format_regressions(result: regression_pb2.RegressionResult) -> bytes:
    """`{"results": [value, …]}`"""
    return _results(_shortest(result.regressions, "value"))


def _shortest(messages: Any, field: str) -> list[float]:
    numbers = np.array([getattr(message, field) for message in messages], np.float32)
    return [float(text) for text in numbers.astype("U")]


def _results(results: Any) -> bytes:
    return json.dumps({"results": results}).encode()
