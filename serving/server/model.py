"""One loaded version of a model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving.server.status import RequestError, from_tensorflow, invalid

DEFAULT_SIGNATURE = "serving_default"
WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")


class LoadedModel:
    """A SavedModel and what its signatures take and give.

    It is loaded into its own session, as TensorFlow Serving does: each session has its own tables and ScaNN searchers,
    so that versions that are loaded at the same time cannot answer for each other.

    Args:
      path: the version's directory.
      version: its number.

    Attributes:
      signature_defs: inputs and outputs by signature name.
      by_row: whether all inputs and outputs have the batch along their first dimension, by name of the signatures that
        can be called.

    Raises:
      ValueError: the model has nothing to serve.
      RequestError: it fails on its own warm-up requests.
      Other errors of TensorFlow: it does not load.
    """

    def __init__(self, path: str, version: int):
        import scann  # noqa: F401  Registers the ops that an index may need.

        self.version = version
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, [tf.saved_model.SERVING], path)
        self.signature_defs = dict(loaded.signature_def)
        served = {name: signature for name, signature in self.signature_defs.items() if not name.startswith("__")}
        if not served:
            raise ValueError("the SavedModel has no signature to serve")
        self.by_row = {name: _by_row(signature) for name, signature in served.items()}
        self._fetches = {
            name: {key: info.name for key, info in signature.outputs.items()} for name, signature in served.items()
        }
        self._warm_up(os.path.join(path, WARM_UP_FILE))

    def _warm_up(self, path: str) -> None:
        """Answers the requests that came with the model, so that the first real one does not wait."""
        if tf.io.gfile.exists(path):
            with ThreadPoolExecutor() as pool:  # Each signature's graph is optimised at its first run.
                list(pool.map(self._answer, tf.compat.v1.io.tf_record_iterator(path)))

    def _answer(self, record: bytes) -> None:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.WhichOneof("log_type") != "predict_log":
            return  # The other methods are warmed up by their first request.
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        self.check(name, inputs)
        self.run(name, inputs)

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """A signature's inputs and outputs. Raises RequestError, in TensorFlow Serving's words, if there is none."""
        if name not in self.by_row:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.signature_defs[name]

    def check_names(self, name: str, tensors: Mapping[str, object]) -> None:
        """Raises RequestError if a signature does not take inputs of these names."""
        wanted = self.signature(name).inputs
        if tensors.keys() != wanted.keys():
            missing, extra = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
            raise invalid(
                "input size does not match signature: "
                f"{len(tensors)}!={len(wanted)} len({{{','.join(sorted(tensors))}}}) != "
                f"len({{{','.join(sorted(wanted))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
            )

    def check(self, name: str, tensors: Mapping[str, np.ndarray]) -> None:
        """Raises RequestError if a signature does not take these inputs: other names, types or ranks."""
        self.check_names(name, tensors)
        for key, array in tensors.items():
            _check(key, array, self.signature_defs[name].inputs[key])

    def run(self, name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Calls a signature with inputs that passed `check`. Raises RequestError for what the model finds wrong."""
        inputs = self.signature_defs[name].inputs
        try:
            outputs = self._session.run(self._fetches[name], {inputs[key].name: tensors[key] for key in inputs})
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from error
        return {key: np.array(value, object) if isinstance(value, bytes) else value for key, value in outputs.items()}


def _by_row(signature: meta_graph_pb2.SignatureDef) -> bool:
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    return bool(signature.inputs) and all(
        info.tensor_shape.dim and info.tensor_shape.dim[0].size == -1 for info in infos
    )


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
