"""One loaded version of a model."""

from __future__ import annotations

import os
from collections.abc import Mapping

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.status import RequestError, from_tensorflow, invalid

DEFAULT_SIGNATURE = "serving_default"
WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")


class LoadedModel:
    """A SavedModel and what its signatures take and give.

    Args:
      path: the version's directory.
      version: its number.
    """

    def __init__(self, path: str, version: int):
        import scann  # noqa: F401  Registers the ops that an index may need.

        self.version = version
        self._model = tf.saved_model.load(path)
        self._functions = self._model.signatures
        saved = saved_model_pb2.SavedModel()
        with open(os.path.join(path, "saved_model.pb"), "rb") as file:
            saved.ParseFromString(file.read())
        self.signature_defs = dict(saved.meta_graphs[0].signature_def)
        self._warm_up(os.path.join(path, WARM_UP_FILE))

    def _warm_up(self, path: str) -> None:
        """Answers the requests that came with the model, so that the first real one does not wait for tracing."""
        if os.path.exists(path):
            for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
                request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
                inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
                self.run(request.model_spec.signature_name or DEFAULT_SIGNATURE, inputs)

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """A signature's inputs and outputs, in TensorFlow Serving's words if there is none of that name."""
        if name not in self._functions:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.signature_defs[name]

    def run(self, name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Calls a signature.

        Raises:
          RequestError: inputs that the signature does not have, or lacks, or of the wrong type or rank; or whatever
            the model itself finds wrong.
        """
        wanted = self.signature(name).inputs
        if tensors.keys() != wanted.keys():
            missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
            raise invalid(
                "input size does not match signature: "
                f"{len(tensors)}!={len(wanted)} len({{{','.join(sorted(tensors))}}}) != "
                f"len({{{','.join(sorted(wanted))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
            )
        for key, array in tensors.items():
            _check(key, array, wanted[key])
        try:
            outputs = self._functions[name](**{key: tf.constant(array) for key, array in tensors.items()})
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from error
        return {key: value.numpy() for key, value in outputs.items()}


def _check(key: str, array: np.ndarray, info: meta_graph_pb2.TensorInfo) -> None:
    wanted = tf.dtypes.as_dtype(info.dtype)
    actual = tf.string if array.dtype.kind in "OSU" else tf.dtypes.as_dtype(array.dtype)
    if actual != wanted:
        raise invalid(f"Expects arg[{key}] to be {wanted.name} but {actual.name} is provided")
    sizes = [dim.size for dim in info.tensor_shape.dim]
    fits = len(sizes) == array.ndim and all(size in (-1, n) for size, n in zip(sizes, array.shape, strict=True))
    if not info.tensor_shape.unknown_rank and not fits:
        shape = ",".join("?" if size == -1 else str(size) for size in sizes)
        raise invalid(f"Input {key} has shape {list(array.shape)}, but the signature takes [{shape}]")
