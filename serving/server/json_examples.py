"""JSON requests and answers of Classify and Regress, as TensorFlow Serving's REST API has them."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server.status import invalid

_INT64 = range(-(1 << 63), 1 << 63)


def parse_examples(body: Any) -> input_pb2.Input:
    """`{"examples": [{feature: value or list}], "context": {…}}` as a message. Raises RequestError."""
    if not isinstance(body, dict) or not isinstance(body.get("examples"), list):
        raise invalid("When method is classify or regress, 'examples' key is expected and has to be a list")
    given = input_pb2.Input()
    if "context" in body:
        target = given.example_list_with_context
        _fill(target.context, body["context"])
    else:
        target = given.example_list
    for example in body["examples"]:
        _fill(target.examples.add(), example)
    return given


def _fill(example: tf.train.Example, features: Any) -> None:
    if not isinstance(features, dict):
        raise invalid("Example must be an object of features")
    for name, value in features.items():
        values = [_plain(name, item) for item in (value if isinstance(value, list) else [value])]
        kinds = {type(item) for item in values}
        feature = example.features.feature[name]
        if kinds <= {bytes}:
            feature.bytes_list.value.extend(values)
        elif kinds == {int}:
            feature.int64_list.value.extend(values)
        elif kinds <= {int, float}:
            feature.float_list.value.extend(map(float, values))
        else:
            raise invalid(f"Example feature {name!r} has values of different types")


def _plain(name: str, value: Any) -> bytes | int | float:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid(f"Unable to base64 decode the value of feature {name!r}") from error
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and value in _INT64:
        return value
    if isinstance(value, float):
        return value if not math.isfinite(value) else max(min(value, tf.float32.max), tf.float32.min)
    raise invalid(f"Example feature {name!r} has a value that is no string, number or bytes that fit")


def format_classes(result: classification_pb2.ClassificationResult) -> dict[str, Any]:
    """`{"results": [[[label, score], …], …]}`"""
    return {"results": [[[one.label, one.score] for one in entry.classes] for entry in result.classifications]}


def format_regressions(result: regression_pb2.RegressionResult) -> dict[str, Any]:
    """`{"results": [value, …]}`"""
    return {"results": [entry.value for entry in result.regressions]}
