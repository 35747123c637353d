"""Classify and Regress: signatures that take serialized `tf.train.Example`s (tensorflow_serving/apis/input.proto)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server.status import invalid

CLASSIFY, REGRESS = tf.saved_model.CLASSIFY_METHOD_NAME, tf.saved_model.REGRESS_METHOD_NAME
_KINDS = {CLASSIFY: "classification", REGRESS: "regression"}
_INPUTS, _CLASSES, _SCORES, _OUTPUTS = "inputs", "classes", "scores", "outputs"


def check_method(signature: meta_graph_pb2.SignatureDef, method: str) -> None:
    """Raises RequestError for a signature that is not of the kind `CLASSIFY` or `REGRESS` that was asked for."""
    if signature.method_name != method:
        raise invalid(f"Expected {_KINDS[method]} signature method_name to be {method}. Was: {signature.method_name}")
    if list(signature.inputs) != [_INPUTS]:
        raise invalid(f"Expected one Tensor named {_INPUTS!r} as input of the signature")


def to_tensors(given: input_pb2.Input) -> dict[str, np.ndarray]:
    """The examples of a request, each with the request's context: [n] serialized. Raises RequestError for none."""
    kind = given.WhichOneof("kind")
    examples = getattr(given, kind).examples if kind else []
    if not examples:
        raise invalid("Input is empty.")
    merged = []
    for example in examples:
        with_context = tf.train.Example()
        if kind == "example_list_with_context":
            with_context.CopyFrom(given.example_list_with_context.context)
        for name, feature in example.features.feature.items():
            with_context.features.feature[name].CopyFrom(feature)
        merged.append(with_context.SerializeToString())
    return {_INPUTS: np.array(merged, object)}


def to_classes(outputs: dict[str, np.ndarray], rows: int) -> classification_pb2.ClassificationResult:
    """[n, C] classes and scores, of which one may be missing, as messages."""
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    given = [array for array in (classes, scores) if array is not None]
    for array in given:
        if array.ndim != 2 or len(array) != rows:
            raise invalid(f"Expected outputs of shape [{rows}, classes], but got {list(array.shape)}")
    if not given:
        raise invalid(f"Expected {_CLASSES!r} or {_SCORES!r} among the outputs of the signature")
    columns = given[0].shape[1]
    result = classification_pb2.ClassificationResult()
    for row in range(rows):
        entry = result.classifications.add()
        for column in range(columns):
            entry_class = entry.classes.add()
            if classes is not None:
                entry_class.label = classes[row, column].decode("utf-8", "replace")
            if scores is not None:
                entry_class.score = scores[row, column]
    return result


def to_regressions(outputs: dict[str, np.ndarray], rows: int) -> regression_pb2.RegressionResult:
    """[n] or [n, 1] values as messages."""
    values = outputs.get(_OUTPUTS)
    if values is None or values.shape not in ((rows,), (rows, 1)):
        raise invalid(f"Expected an output {_OUTPUTS!r} of shape [{rows}] or [{rows}, 1]")
    result = regression_pb2.RegressionResult()
    for value in values.ravel():
        result.regressions.add(value=value)
    return result
