"""Requests of Classify and Regress: serialized `tf.train.Example`s (tensorflow_serving/apis/input.proto)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import input_pb2

from serving.codec import json_values
from serving.codec.errors import RequestError, invalid
from serving.codec.json_text import clean, kind, malformed, number

_INT64 = range(-(1 << 63), 1 << 63)
_FIELDS = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def of_input(given: input_pb2.Input) -> np.ndarray:
    """The examples of a message, each with the message's context: [n] serialized. Raises RequestError for none."""
    which = given.WhichOneof("kind")
    examples = getattr(given, which).examples if which else []
    if not examples:
        raise invalid("Input is empty.")
    with_context = which == "example_list_with_context"
    context = given.example_list_with_context.context.SerializeToString() if with_context else b""
    return _joined(context, [example.SerializeToString() for example in examples])


def of_json(body: dict[str, Any]) -> np.ndarray:
    """The examples of a body, each with the body's context: [n] serialized.

    A body is `{"examples": [{feature: value or list}], "context": {…}}`.

    Raises:
      RequestError: an example is missing or wrong.
    """
    context = _example(body["context"]) if "context" in body else b""
    if "examples" not in body:
        raise malformed(body, "When method is classify, key 'examples' is expected and was not found")
    examples = body["examples"]
    if not isinstance(examples, list):
        raise malformed(body, "Expecting 'examples' value to be an list/array")
    if not examples:
        raise malformed(body, "'examples' value is an empty array")
    return _joined(context, [_example(example) for example in examples])


def _joined(context: bytes, examples: list[bytes]) -> np.ndarray:
    """Messages one after the other are read as one: what an example says counts, not what the context says."""
    array = np.empty(len(examples), object)
    array[:] = [context + example for example in examples]
    return array


def _example(features: Any) -> bytes:
    if not isinstance(features, dict):
        raise invalid(f"Example must be JSON object but got JSON {kind(features)}")
    example = example_pb2.Example()
    for name, value in features.items():
        feature = example.features.feature[clean(name)]
        for item in value if isinstance(value, list) else [value]:
            field, given = _value(name, item)
            if feature.WhichOneof("kind") not in (None, field):
                expected = _FIELDS[feature.WhichOneof("kind")]
                raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
            getattr(feature, field).value.append(given)
    return example.SerializeToString()


def _value(name: str, value: Any) -> tuple[str, bytes | int | float]:
    """The field of a Feature that takes a value, and what it takes."""
    if isinstance(value, str):
        return "bytes_list", json_values.encoded(value)
    if json_values.is_base64(value):
        return "bytes_list", json_values.decoded(value)
    if isinstance(value, bool):
        return "int64_list", int(value)
    if not isinstance(value, int | float):
        raise _unexpected(name, value)
    held = number(value)
    if isinstance(held, float):
        json_values.check_lossless(held, "float")
        return "float_list", held if not math.isfinite(held) else float(np.float32(held))
    if held not in _INT64:
        raise invalid(f"Feature: {name} has uint64 element. Only int64 is supported.")
    return "int64_list", held


def _unexpected(name: str, value: Any) -> RequestError:
    return invalid(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")
