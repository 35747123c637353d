"""JSON values to values of tensors, as TensorFlow Serving converts them (tensorflow_serving/util/json_tensor.cc)."""

from __future__ import annotations

import base64
import binascii
import math
import re
from typing import Any

import numpy as np

from serving.codec.dtypes import Dtype
from serving.codec.errors import RequestError, invalid
from serving.codec.json_text import kind, malformed, number, quoted, unimplemented

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_WHOLE = {"float": (1 << 24) - 1, "double": (1 << 53) - 1}  # Integers up to these are exact.


def is_base64(value: Any) -> bool:
    """Whether a value stands for bytes: `{"b64": "…"}`."""
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def decoded(value: dict[str, Any]) -> bytes:
    """The bytes of a `{"b64": "…"}`, with or without padding. Raises RequestError for any other object or text."""
    if not is_base64(value):
        raise malformed(value, "not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    if _BASE64.fullmatch(text):
        text = text.rstrip("=")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error:
            pass
    raise invalid("Unable to base64 decode")


def encoded(text: str) -> bytes:
    """The bytes of a text; those that are no UTF-8 are as they were sent. Raises RequestError for half a surrogate."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise invalid("JSON Parse error: The surrogate pair in string is invalid.") from None


def to_array(flat: list[Any], dtype: Dtype) -> np.ndarray:
    """An array of a list of values, all at once; raises any error if one does not fit, which `check` explains."""
    types = set(map(type, flat))
    if not dtype.in_json:
        raise ValueError(dtype.name)
    if dtype.is_string:
        array = np.empty(len(flat), object)
        if types <= {str}:
            array[:] = list(map(encoded, flat))
        elif not types <= {str, dict}:
            raise ValueError(dtype.name)
        else:
            array[:] = [decoded(value) if isinstance(value, dict) else encoded(value) for value in flat]
        return array
    if dtype.name in _WHOLE:
        if not types <= {int, float}:
            raise ValueError(dtype.name)
        return _floats(flat, types, dtype)
    if not types <= ({bool} if dtype.name == "bool" else {int}):
        raise ValueError(dtype.name)
    if dtype.name != "bool" and flat:
        limits = np.iinfo(dtype.numpy)
        if not (limits.min <= min(flat) and max(flat) <= limits.max):
            raise ValueError(dtype.name)
    return np.array(flat, dtype.numpy)


def _floats(flat: list[Any], types: set[type], dtype: Dtype) -> np.ndarray:
    doubles = np.array(flat, np.float64)
    if int in types:
        whole = [value for value in flat if isinstance(value, int) and isinstance(number(value), int)]
        if whole and (max(whole) > _WHOLE[dtype.name] or min(whole) < -_WHOLE[dtype.name]):
            raise ValueError(dtype.name)
    if (np.abs(doubles[np.isfinite(doubles)]) > np.finfo(dtype.numpy).max).any():
        raise ValueError(dtype.name)
    return doubles.astype(dtype.numpy)


def check(value: Any, dtype: Dtype) -> None:
    """Raises RequestError, in TensorFlow Serving's words, if a value that is no list does not fit a type."""
    if not dtype.in_json:
        raise unimplemented(value, dtype.name)
    if dtype.is_string:
        if isinstance(value, dict):
            decoded(value)
        elif isinstance(value, str):
            encoded(value)
        else:
            raise _type_error(value, dtype)
    elif dtype.name == "bool":
        if not isinstance(value, bool):
            raise _type_error(value, dtype)
    elif kind(value) != "Number":
        raise _type_error(value, dtype)
    elif dtype.name in _WHOLE:
        check_lossless(value, dtype.name)
    elif isinstance(value, float) or not np.iinfo(dtype.numpy).min <= value <= np.iinfo(dtype.numpy).max:
        raise _type_error(value, dtype)


def check_lossless(value: int | float, name: str) -> None:
    """Raises RequestError for a number that "float" or "double" cannot hold."""
    held = number(value)
    largest = _WHOLE[name] if isinstance(held, int) else float(np.finfo(np.float32 if name == "float" else float).max)
    if math.isfinite(held) and abs(held) > largest:
        raise invalid(f"Cannot convert JSON value: {quoted(value)} to {name} without loss of precision.")


def _type_error(value: Any, dtype: Dtype) -> RequestError:
    return malformed(value, f"Type: {kind(value)} is not of expected type: {dtype.name}")
