"""Keeps some of the requests and their answers, as the models' `logging_config` says."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from serving.codec.tensor_protos import fill
from serving.server.registry import Registry
from serving.server.rows import Tensors

_MAX_WAITING = 1000  # What comes while so many wait to be written is left out.
_FLUSH_SECONDS = 1.0

_log = logging.getLogger("recommender.serving")


class RequestLogs:
    """Writes TFRecords of PredictionLog to `FILENAME_PREFIX-DAY-TIME-PROCESS.tfrecord`, a new file each day (UTC).

    Args:
      registry: has the models' `logging_config`.
    """

    def __init__(self, registry: Registry):
        self._registry = registry
        self._writers: dict[str, _Writer] = {}
        self._thread = ThreadPoolExecutor(1, "request-log")
        self._waiting = 0

    def log(self, model_name: str, make: Callable[[], prediction_log_pb2.PredictionLog]) -> None:
        """Keeps what `make` returns, by the model's sampling rate."""
        config = self._registry.logging_config(model_name)
        if config is None or random.random() >= config.sampling_config.sampling_rate:
            return
        if self._waiting >= _MAX_WAITING:
            return
        self._waiting += 1
        self._thread.submit(self._write, config, make).add_done_callback(self._written)

    def close(self) -> None:
        """Writes what waits."""
        self._thread.shutdown()
        for writer in self._writers.values():
            writer.close()

    def _written(self, done: Any) -> None:
        self._waiting -= 1
        if error := done.exception():
            _log.warning("a request is not logged: %s", error)

    def _write(self, config: Any, make: Callable[[], prediction_log_pb2.PredictionLog]) -> None:
        record = make()
        record.log_metadata.sampling_config.CopyFrom(config.sampling_config)
        record.log_metadata.timestamp_secs = int(time.time())
        prefix = config.log_collector_config.filename_prefix
        writer = self._writers.get(prefix)
        if writer is None or writer.day != _today():
            if writer:
                writer.close()
            writer = self._writers[prefix] = _Writer(prefix)
        writer.write(record.SerializeToString())


class _Writer:
    def __init__(self, prefix: str):
        self.day = _today()
        started = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        self._file = tf.io.TFRecordWriter(f"{prefix}-{started}-{os.getpid()}.tfrecord")
        self._flushed = 0.0

    def write(self, record: bytes) -> None:
        self._file.write(record)
        if time.monotonic() - self._flushed > _FLUSH_SECONDS:
            self._file.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        self._file.close()


def _today() -> int:
    return time.gmtime().tm_yday


def to_request(spec: model_pb2.ModelSpec, tensors: Tensors) -> predict_pb2.PredictRequest:
    """The message of a request that came over REST."""
    request = predict_pb2.PredictRequest(model_spec=spec)
    for key, array in tensors.items():
        fill(request.inputs[key], array)
    return request


def to_response(spec: model_pb2.ModelSpec, tensors: Tensors) -> predict_pb2.PredictResponse:
    """The message of an answer that went over REST."""
    response = predict_pb2.PredictResponse(model_spec=spec)
    for key, array in tensors.items():
        fill(response.outputs[key], array)
    return response


def predict_log(request: Any, response: Any) -> prediction_log_pb2.PredictionLog:
    return _of(response.model_spec, predict_log=prediction_log_pb2.PredictLog(request=request, response=response))


def classify_log(request: Any, response: Any) -> prediction_log_pb2.PredictionLog:
    return _of(response.model_spec, classify_log=prediction_log_pb2.ClassifyLog(request=request, response=response))


def regress_log(request: Any, response: Any) -> prediction_log_pb2.PredictionLog:
    return _of(response.model_spec, regress_log=prediction_log_pb2.RegressLog(request=request, response=response))


def multi_inference_log(request: Any, response: Any) -> prediction_log_pb2.PredictionLog:
    log = prediction_log_pb2.MultiInferenceLog(request=request, response=response)
    return _of(response.results[0].model_spec, multi_inference_log=log)


def _of(spec: Any, **log: Any) -> prediction_log_pb2.PredictionLog:
    record = prediction_log_pb2.PredictionLog(**log)
    record.log_metadata.model_spec.CopyFrom(spec)
    return record
