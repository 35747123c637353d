"""One loaded version of a model."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, rewriter_config_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2

from serving.codec.dtypes import BY_NUMPY, of_number
from serving.codec.errors import RequestError, invalid
from serving.codec.requests import DEFAULT_SIGNATURE
from serving.codec.tensor_protos import to_arrays
from serving.server.status import from_tensorflow

WARM_UP_FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")


def session_config() -> config_pb2.ConfigProto:
    """How TensorFlow prepares a signature's graph at its first call: in one pass, with its functions inlined.

    By default it leaves those that may have effects, such as a lookup in a table, as functions: each is then
    instantiated and optimised by itself, which makes first calls three times as long and all others slower.

    One thread computes an operation. Operations are short, so several would wait for each other for longer than they
    save; those of a request, and requests, run side by side all the same.
    """
    session = config_pb2.ConfigProto(intra_op_parallelism_threads=1)
    rewrites = session.graph_options.rewrite_options
    rewrites.function_optimization = rewriter_config_pb2.RewriterConfig.AGGRESSIVE
    rewrites.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    rewrites.disable_tfg_optimizer = True
    return session


@dataclass(frozen=True)
class ModelOptions:
    """How models are loaded.

    Attributes:
      tags: of the graph in a SavedModel.
      session: TensorFlow's ConfigProto.
      warm_up: whether a model's own requests are answered before it serves.
      warm_up_iterations: how often each of them.
    """

    tags: tuple[str, ...] = (tf.saved_model.SERVING,)
    session: config_pb2.ConfigProto = field(default_factory=session_config)
    warm_up: bool = True
    warm_up_iterations: int = 1


class LoadedModel:
    """A SavedModel and what its signatures take and give.

    It is loaded into its own session, as TensorFlow Serving does: each session has its own tables and ScaNN searchers,
    so that versions that are loaded at the same time cannot answer for each other.

    Args:
      path: the version's directory.
      version: its number.
      options: how it is loaded.

    Attributes:
      signature_defs: inputs and outputs by signature name.
      inputs: of each signature that can be called, the types by name.
      by_row: whether all inputs and outputs have the batch along their first dimension, by name of the signatures that
        can be called.

    Raises:
      ValueError: the model has nothing to serve.
      RequestError: it fails on its own warm-up requests.
      Other errors of TensorFlow: it does not load.
    """

    def __init__(self, path: str, version: int, options: ModelOptions | None = None):
        import scann  # noqa: F401  Registers the ops that an index may need.

        options = options or ModelOptions()
        self.version = version
        self._session = tf.compat.v1.Session(graph=tf.Graph(), config=options.session)
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, list(options.tags), path)
        self.signature_defs = dict(loaded.signature_def)
        served = {name: signature for name, signature in self.signature_defs.items() if not name.startswith("__")}
        if not served:
            raise ValueError("the SavedModel has no signature to serve")
        self.by_row = {name: _by_row(signature) for name, signature in served.items()}
        self.inputs = {
            name: {key: of_number(info.dtype) for key, info in signature.inputs.items()}
            for name, signature in served.items()
        }
        self._callables: dict[str, Callable] = {}
        self._first_calls = threading.Lock()
        self._called: set[str] = set()  # Signatures that have answered.
        if options.warm_up:
            self._warm_up(os.path.join(path, WARM_UP_FILE), options.warm_up_iterations)

    def _warm_up(self, path: str, iterations: int) -> None:
        """Answers the requests that came with the model, so that the first real one does not wait."""
        if tf.io.gfile.exists(path):
            for record in list(tf.compat.v1.io.tf_record_iterator(path)) * iterations:
                self._answer(record)

    def _answer(self, record: bytes) -> None:
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.WhichOneof("log_type") != "predict_log":
            return  # The other methods are warmed up by their first request.
        request = log.predict_log.request
        inputs = to_arrays(request.inputs, sys.maxsize)
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        self.check_names(name, inputs)
        self.run(name, inputs)

    @functools.cached_property
    def signatures_as_json(self) -> bytes:
        """What clients ask for as the model's metadata, made once."""
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=self.signature_defs)
        as_dict = json_format.MessageToDict(
            signatures, including_default_value_fields=True, preserving_proto_field_name=True
        )
        return json.dumps(as_dict).encode()

    def signature(self, name: str) -> meta_graph_pb2.SignatureDef:
        """A signature's inputs and outputs. Raises RequestError, in TensorFlow Serving's words, if there is none."""
        if name not in self.by_row:
            raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        return self.signature_defs[name]

    def check_names(self, name: str, keys: Collection[str]) -> None:
        """Raises RequestError if a signature does not take inputs of these names."""
        wanted = self.signature(name).inputs
        if len(keys) != len(wanted):
            missing, extra = sorted(set(wanted) - set(keys)), sorted(set(keys) - set(wanted))
            raise invalid(
                "input size does not match signature: "
                f"{len(keys)}!={len(wanted)} len({{{','.join(sorted(keys))}}}) != "
                f"len({{{','.join(sorted(wanted))}}}). "
                f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
            )
        for key in keys:
            if key not in wanted:
                raise invalid(
                    f"input tensor alias not found in signature: {key}. Inputs expected to be in the set "
                    f"{{{','.join(sorted(wanted))}}}."
                )

    def run(self, name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Calls a signature with inputs of the right names. Raises RequestError for what the graph finds wrong."""
        signature = self.signature_defs[name]
        fed = {info.name: np.asarray(tensors[key]) for key, info in signature.inputs.items()}
        for number, (array, wanted) in enumerate(zip(fed.values(), self.inputs[name].values(), strict=True)):
            if (given := BY_NUMPY[array.dtype]) != wanted:
                raise invalid(f"Expects arg[{number}] to be {wanted.name} but {given.name} is provided")
        fetched = sorted({info.name for info in signature.outputs.values()} - set(fed))
        try:
            values = self._call(name, fed, fetched)
        except tf.errors.OpError as error:
            raise from_tensorflow(error) from error
        except (TypeError, ValueError) as error:
            raise invalid(str(error)) from error
        found = fed | dict(zip(fetched, values, strict=True))
        return {key: _array(found[info.name]) for key, info in signature.outputs.items()}

    def _call(self, name: str, fed: dict[str, np.ndarray], fetched: list[str]) -> list:
        """Runs a signature's graph; signatures that have not answered yet run one after the other.

        ScaNN makes a searcher at its first use, and has no lock for two signatures that share it: the second would make
        it anew under the search of the first, which then reads memory that is no longer there.
        """
        if name in self._called:
            return self._callables[name](*fed.values())
        with self._first_calls:
            if name not in self._callables:  # It leaves shapes to the graph, unlike `Session.run`.
                options = config_pb2.CallableOptions(feed=list(fed), fetch=fetched)
                self._callables[name] = self._session._make_callable_from_options(options)
            values = self._callables[name](*fed.values())
            self._called.add(name)
        return values


def _array(value: Any) -> np.ndarray:
    return np.array(value, object) if isinstance(value, bytes) else np.asarray(value)


def _by_row(signature: meta_graph_pb2.SignatureDef) -> bool:
    infos = [*signature.inputs.values(), *signature.outputs.values()]
    return bool(signature.inputs) and all(
        info.tensor_shape.dim and info.tensor_shape.dim[0].size == -1 for info in infos
    )
