"""Whole requests of both protocols, from their bytes. Each function can run in a `worker`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError, Message
from tensorflow_serving.apis import classification_pb2, inference_pb2, model_pb2, predict_pb2, regression_pb2

from serving.codec import examples, json_tensors, json_text, tensor_protos
from serving.codec.dtypes import Dtype
from serving.codec.errors import exhausted, invalid

DEFAULT_SIGNATURE = "serving_default"
_SMALL_BYTES = 256 << 10

Signatures = Mapping[str, Mapping[str, Dtype]]  # A signature's inputs, by its name.


class Predict(NamedTuple):
    """A request's arrays by input name, and what they are for.

    Attributes:
      spec: the serialized ModelSpec; b"" over REST, where the path says it.
      signature: its name.
      outputs: names of those that are wanted; empty: all.
      by_row: whether the answer has a JSON object for each row.
    """

    spec: bytes
    signature: str
    tensors: dict[str, np.ndarray]
    outputs: list[str] = []
    by_row: bool = False


class Examples(NamedTuple):
    """[n] serialized examples, and what they are for: pairs of a serialized ModelSpec and a method's name."""

    tasks: list[tuple[bytes, str]]
    serialized: np.ndarray


def predict_json(raw: bytes, signatures: Signatures, max_bytes: int) -> Predict:
    """A body of `:predict` for a model with these signatures. Raises RequestError, or RecursionError as `parse`."""
    body = json_text.parse(raw)
    name = json_text.signature_name(body) or DEFAULT_SIGNATURE
    if name not in signatures:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    if not signatures[name]:
        raise invalid(f"Failed to get input map for signature: {name}")
    infinities = json_text.has_infinity(raw)
    tensors, by_row = json_tensors.to_arrays(body, signatures[name], max_bytes, infinities)
    return Predict(b"", name, tensors, by_row=by_row)


def examples_json(raw: bytes) -> Examples:
    """A body of `:classify` or `:regress`. Raises RequestError, or RecursionError as `parse`."""
    body = json_text.parse(raw)
    spec = model_pb2.ModelSpec(signature_name=json_text.signature_name(body))
    return Examples([(spec.SerializeToString(), "")], examples.of_json(body))


def predict_proto(raw: bytes, max_bytes: int, check: Callable[[predict_pb2.PredictRequest], None] | None) -> Predict:
    """A PredictRequest, which `check` may refuse before its tensors are read. Raises RequestError."""
    request = message(predict_pb2.PredictRequest, raw)
    if check:
        check(request)
    tensors = tensor_protos.to_arrays(request.inputs, max_bytes)
    spec = request.model_spec
    name = spec.signature_name or DEFAULT_SIGNATURE
    return Predict(spec.SerializeToString(), name, tensors, list(request.output_filter))


def classify_proto(raw: bytes) -> Examples:
    """A ClassificationRequest. Raises RequestError."""
    request = message(classification_pb2.ClassificationRequest, raw)
    return Examples([(request.model_spec.SerializeToString(), "")], examples.of_input(request.input))


def regress_proto(raw: bytes) -> Examples:
    """A RegressionRequest. Raises RequestError."""
    request = message(regression_pb2.RegressionRequest, raw)
    return Examples([(request.model_spec.SerializeToString(), "")], examples.of_input(request.input))


def multi_inference_proto(raw: bytes) -> Examples:
    """A MultiInferenceRequest. Raises RequestError."""
    request = message(inference_pb2.MultiInferenceRequest, raw)
    tasks = [(task.model_spec.SerializeToString(), task.method_name) for task in request.tasks]
    return Examples(tasks, examples.of_input(request.input))


def message(kind: Any, raw: bytes) -> Any:
    """A message of a class. Raises RequestError for bytes that are none."""
    found: Message = kind()
    try:
        found.ParseFromString(raw)
    except DecodeError as error:
        raise invalid(f"not a {kind.DESCRIPTOR.name}: {error}") from error
    return found


def small_message(kind: Any, raw: bytes) -> Any:
    """A message that is never large, read at once. Raises RequestError for bytes that are none, or too many."""
    if len(raw) > _SMALL_BYTES:
        raise exhausted(f"A {kind.DESCRIPTOR.name} is not larger than {_SMALL_BYTES} bytes")
    return message(kind, raw)
