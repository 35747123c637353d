"""Bodies of `:predict` to arrays, as TensorFlow Serving's REST API reads them (tensorflow_serving/util/json_tensor.cc).

A valid body is read in bulk, level by level. One that is not is read once more, value by value, for the error that
TensorFlow Serving would give.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from serving.codec import json_values
from serving.codec.dtypes import Dtype
from serving.codec.errors import RequestError, invalid
from serving.codec.json_text import malformed, quoted, too_big
from serving.codec.tensor_protos import check_bytes

_MAX_RANK = 32  # NumPy's.

Inputs = Mapping[str, Dtype]


def to_arrays(
    body: dict[str, Any], inputs: Inputs, max_bytes: int, infinities: bool
) -> tuple[dict[str, np.ndarray], bool]:
    """A request's arrays by input name, and whether it is in row form.

    Args:
      body: of the request.
      inputs: of the signature.
      max_bytes: of all arrays together.
      infinities: whether an infinity is one, not a number that was too big.

    Raises:
      RequestError: the body does not fit the signature.
    """
    if "instances" in body and "inputs" in body:
        raise malformed(body, "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
    if "instances" in body:
        columns, by_row = _of_rows(body, inputs), True
    elif "inputs" in body:
        columns, by_row = _of_columns(body["inputs"], inputs), False
    else:
        raise invalid("Missing 'inputs' or 'instances' key")
    arrays = {}
    for name, value in columns.items():
        arrays[name] = _array(name, value, inputs[name], max_bytes, by_row, len(columns) > 1)
        if not infinities and arrays[name].dtype.kind == "f" and np.isinf(arrays[name]).any():
            raise too_big()
        max_bytes -= arrays[name].nbytes
    return arrays, by_row


def _of_rows(body: dict[str, Any], inputs: Inputs) -> dict[str, Any]:
    rows = body["instances"]
    if not isinstance(rows, list):
        raise malformed(body, "Excepting 'instances' to be an list/array")
    if not rows:
        raise malformed(body, "No values in 'instances' array")
    if not _names_inputs(rows[0]):
        if len(inputs) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            )
        if dict in set(map(type, rows)) and (number := _first(rows, _names_inputs)) is not None:
            raise invalid(f"Expecting value/list but got object at item {number} of input list")
        return {next(iter(inputs)): rows}
    if (number := _first(rows, lambda row: not _names_inputs(row))) is not None:
        raise invalid(f"Expecting object but got list at item {number} of input list")
    wanted = set(inputs)
    for number, row in enumerate(rows):
        if row.keys() != wanted:
            for name in row:
                if name not in inputs:
                    raise _in_row(number, name, invalid(f"JSON object: does not have named input: {name}"))
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: {quoted(row)} must only have "
                f"keys: {','.join(sorted(inputs))}"
            )
    return {name: [row[name] for row in rows] for name in inputs}


def _of_columns(value: Any, inputs: Inputs) -> dict[str, Any]:
    if not _names_inputs(value):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {next(iter(inputs)): value}
    for name in inputs:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: value[name] for name in inputs}


def _names_inputs(value: Any) -> bool:
    return isinstance(value, dict) and not json_values.is_base64(value)


def _first(values: list[Any], is_wanted: Any) -> int | None:
    return next((number for number, value in enumerate(values) if is_wanted(value)), None)


def _array(name: str, value: Any, dtype: Dtype, max_bytes: int, by_row: bool, named: bool) -> np.ndarray:
    shape: list[int] = []
    flat = [value]
    try:
        while flat and set(map(type, flat)) == {list}:
            (size,) = set(map(len, flat))
            shape.append(size)
            flat = list(itertools.chain.from_iterable(flat))
        check_bytes(name, len(flat), dtype, (), max_bytes)
        if len(shape) > _MAX_RANK:
            raise invalid(f"Lists nest more than {_MAX_RANK} deep in tensor {name}")
        return json_values.to_array(flat, dtype).reshape(shape)
    except (ValueError, TypeError, OverflowError) as error:
        _explain(name, value, dtype, by_row, named)
        raise invalid(f"The value of {name} is no tensor: {error}") from error
    except RequestError as error:
        if error.code is grpc.StatusCode.INVALID_ARGUMENT and len(shape) <= _MAX_RANK:
            _explain(name, value, dtype, by_row, named)
        raise


def _explain(name: str, value: Any, dtype: Dtype, by_row: bool, named: bool) -> None:
    """Raises the RequestError for what does not fit, if that is a matter of the values and their lists."""
    if not by_row:
        _check(value, _shape(value), 0, dtype)
        return
    expected: list[int] | None = None
    for number, item in enumerate(value):
        shape = _shape(item)
        try:
            _check(item, shape, 0, dtype)
            if expected is not None and np.prod(shape) != np.prod(expected):
                raise invalid(f"Expecting tensor size: {np.prod(expected):.0f} but got: {np.prod(shape):.0f}")
            if expected is not None and shape != expected:
                raise invalid(f"Expecting shape {_text(expected)} but got: {_text(shape)}")
        except RequestError as error:
            raise _in_row(number, name if named else None, error) from error
        expected = shape


def _shape(value: Any) -> list[int]:
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _check(value: Any, shape: list[int], level: int, dtype: Dtype) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise malformed(
                value, f"found at incorrect level: {level + 1} in the JSON DOM. Expected at level: {len(shape)}"
            )
        json_values.check(value, dtype)
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _check(item, shape, level + 1, dtype)


def _in_row(number: int, name: str | None, error: RequestError) -> RequestError:
    """The error of a row. It has the code INVALID_ARGUMENT, whatever its cause has."""
    key = "" if name is None else f" key: {name}"
    message = f"Failed to process element: {number}{key} of 'instances' list. Error: {error.code.name}: {error}"
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def _text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
