"""Classify and Regress: signatures that take serialized `tf.train.Example`s."""

from __future__ import annotations

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.codec.dtypes import BY_NUMPY
from serving.codec.errors import RequestError, invalid

CLASSIFY, REGRESS = tf.saved_model.CLASSIFY_METHOD_NAME, tf.saved_model.REGRESS_METHOD_NAME
INPUTS = "inputs"
_KINDS = {CLASSIFY: "classification", REGRESS: "regression"}
_CLASSES, _SCORES, _OUTPUTS = "classes", "scores", "outputs"


def check_signature(signature: meta_graph_pb2.SignatureDef, method: str, check_name: bool) -> None:
    """Raises RequestError for a signature that cannot be asked to `CLASSIFY` or `REGRESS`.

    Args:
      signature: of the model.
      method: which of the two.
      check_name: whether the signature has to be exported for it by name. TensorFlow 2 names every method `predict`.
    """
    kind = _KINDS[method]
    if check_name and signature.method_name != method:
        raise invalid(f"Expected {kind} signature method_name to be {method}. Was: {signature.method_name}")
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if method == REGRESS and len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUTS not in signature.inputs:
        raise _unfit(f"No {kind} inputs found in SignatureDef: {signature}")
    if method == REGRESS and _OUTPUTS not in signature.outputs:
        raise _unfit(f"No {kind} outputs found in SignatureDef: {signature}")
    if method == CLASSIFY and not {_CLASSES, _SCORES} & set(signature.outputs):
        raise _unfit(
            f'Expected {kind} signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". '
            f"Signature was: {signature}"
        )


def _unfit(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.FAILED_PRECONDITION, message)


def to_classes(outputs: dict[str, np.ndarray], rows: int) -> classification_pb2.ClassificationResult:
    """[n, C] classes and scores, of which one may be missing, as messages. Raises RequestError for other outputs."""
    classes, scores = outputs.get(_CLASSES), outputs.get(_SCORES)
    columns = set()
    for name, array, dtype in ((_CLASSES, classes, "string"), (_SCORES, scores, "float")):
        if array is None:
            continue
        if array.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_text(array)}")
        _check_dtype(f"{name} Tensor", array, dtype, " ")
        if len(array) != rows:
            raise invalid(f"Expected {name} output batch size of {rows}. Got: {len(array)}")
        columns.add(array.shape[1])
    if len(columns) > 1:
        raise invalid(f"Tensors class and score should match in dim_size(1). Got {' vs. '.join(map(str, columns))}")
    result = classification_pb2.ClassificationResult()
    for row in range(rows):
        entry = result.classifications.add()
        for column in range(min(columns)):
            entry_class = entry.classes.add()
            if classes is not None:
                entry_class.label = classes[row, column].decode("utf-8", "replace")
            if scores is not None:
                entry_class.score = scores[row, column]
    return result


def to_regressions(outputs: dict[str, np.ndarray], rows: int) -> regression_pb2.RegressionResult:
    """[n] or [n, 1] values as messages. Raises RequestError for other outputs."""
    values = outputs[_OUTPUTS]
    if values.ndim not in (1, 2) or values.shape[1:] not in ((), (1,)):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_text(values)}"
        )
    if len(values) != rows:
        raise invalid(f"Input batch size did not match output batch size: {rows} vs. {len(values)}")
    _check_dtype("output Tensor", values, "float", "  ")
    result = regression_pb2.RegressionResult()
    for value in values.ravel():
        result.regressions.add(value=value)
    return result


def _check_dtype(what: str, array: np.ndarray, dtype: str, blanks: str) -> None:
    found = BY_NUMPY[array.dtype].name
    if found != dtype:
        raise invalid(f"Expected {what} of DT_{dtype.upper()}.{blanks}Got: DT_{found.upper()}")


def _text(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
