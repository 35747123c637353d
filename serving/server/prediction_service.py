"""TensorFlow Serving's PredictionService."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
from google.protobuf import any_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.codec import requests
from serving.codec.errors import RequestError, invalid
from serving.codec.pool import ParserPool, is_costly
from serving.codec.requests import DEFAULT_SIGNATURE
from serving.codec.tensor_protos import fill
from serving.server import examples
from serving.server.inference import Inference, is_large
from serving.server.metrics import Metrics, Seen
from serving.server.model import LoadedModel
from serving.server.registry import Target
from serving.server.request_log import (
    RequestLogs,
    classify_log,
    multi_inference_log,
    predict_log,
    regress_log,
)


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify, Regress, MultiInference and GetModelMetadata. Methods take the bytes of a request.

    Args:
      inference: answers the requests.
      metrics: count them.
      logs: keep some of them.
      parsers: read them.
      max_bytes: memory that the inputs of a request may take.
      as_content: whether numbers are answered in `tensor_content`, not in typed fields.
    """

    def __init__(
        self,
        inference: Inference,
        metrics: Metrics,
        logs: RequestLogs,
        parsers: ParserPool,
        max_bytes: int,
        as_content: bool,
    ):
        self._inference, self._metrics, self._logs = inference, metrics, logs
        self._parsers, self._max_bytes, self._as_content = parsers, max_bytes, as_content

    async def Predict(self, raw: bytes, context: grpc.aio.ServicerContext) -> predict_pb2.PredictResponse:
        with self._metrics.request("Predict", "GRPC") as seen:
            check = None if is_costly([raw]) else functools.partial(self._check, seen)
            request = await self._read(raw, requests.predict_proto, self._max_bytes, check)
            spec = model_pb2.ModelSpec.FromString(request.spec)
            seen.model_name = spec.name
            model = self._inference.registry.find(Target.of_spec(spec))
            outputs = model.signature(request.signature).outputs
            wanted = _wanted(request.outputs, outputs)
            arrays = await self._inference.predict(model, request.signature, request.tensors)
            response = predict_pb2.PredictResponse(model_spec=_spec(spec, model, request.signature))
            arrays = {key: arrays[key] for key in wanted}
            if is_large(arrays):
                await asyncio.to_thread(self._fill_all, response, arrays)
            else:
                self._fill_all(response, arrays)
            self._logs.log(spec.name, lambda: predict_log(predict_pb2.PredictRequest.FromString(raw), response))
            return response

    async def _read(self, raw: bytes, function: Callable, *arguments: Any) -> Any:
        self._parsers.hold(len(raw))
        try:
            return await self._parsers.run(function, [raw], *arguments)
        finally:
            self._parsers.release(len(raw))

    def _check(self, seen: Seen, request: predict_pb2.PredictRequest) -> None:
        """Refuses a request before arrays are made: a wrong one may have many and large ones."""
        seen.model_name = request.model_spec.name
        model = self._inference.registry.find(Target.of_spec(request.model_spec))
        rows_of = {
            key: proto.tensor_shape.dim[0].size if proto.tensor_shape.dim else None
            for key, proto in request.inputs.items()
        }
        self._inference.check(model, request.model_spec.signature_name or DEFAULT_SIGNATURE, rows_of)

    async def Classify(
        self, raw: bytes, context: grpc.aio.ServicerContext
    ) -> classification_pb2.ClassificationResponse:
        with self._metrics.request("Classify", "GRPC") as seen:
            given = await self._read(raw, requests.classify_proto)
            spec, model = self._find(given.tasks[0][0], seen)
            result = await self._inference.classify(model, spec.signature_name, given.serialized)
            response = classification_pb2.ClassificationResponse(model_spec=spec, result=result)
            self._logs.log(
                spec.name, lambda: classify_log(classification_pb2.ClassificationRequest.FromString(raw), response)
            )
            return response

    async def Regress(self, raw: bytes, context: grpc.aio.ServicerContext) -> regression_pb2.RegressionResponse:
        with self._metrics.request("Regress", "GRPC") as seen:
            given = await self._read(raw, requests.regress_proto)
            spec, model = self._find(given.tasks[0][0], seen)
            result = await self._inference.regress(model, spec.signature_name, given.serialized)
            response = regression_pb2.RegressionResponse(model_spec=spec, result=result)
            self._logs.log(spec.name, lambda: regress_log(regression_pb2.RegressionRequest.FromString(raw), response))
            return response

    def _find(self, serialized: bytes, seen: Seen) -> tuple[model_pb2.ModelSpec, LoadedModel]:
        """The spec of an answer, with the resolved signature and version, and the model that answers."""
        asked = model_pb2.ModelSpec.FromString(serialized)
        seen.model_name = asked.name
        model = self._inference.registry.find(Target.of_spec(asked))
        return _spec(asked, model, asked.signature_name or DEFAULT_SIGNATURE), model

    async def MultiInference(
        self, raw: bytes, context: grpc.aio.ServicerContext
    ) -> inference_pb2.MultiInferenceResponse:
        with self._metrics.request("MultiInference", "GRPC") as seen:
            given = await self._read(raw, requests.multi_inference_proto)
            if not given.tasks:
                raise invalid("Inference request has no tasks")
            found = [(*self._find(spec, seen), method) for spec, method in given.tasks]
            _check_tasks(found)
            response = inference_pb2.MultiInferenceResponse()
            for spec, model, method in found:
                result = response.results.add(model_spec=spec)
                if method == examples.CLASSIFY:
                    classes = await self._inference.classify(model, spec.signature_name, given.serialized)
                    result.classification_result.CopyFrom(classes)
                else:
                    values = await self._inference.regress(model, spec.signature_name, given.serialized)
                    result.regression_result.CopyFrom(values)
            self._logs.log(
                found[0][0].name,
                lambda: multi_inference_log(inference_pb2.MultiInferenceRequest.FromString(raw), response),
            )
            return response

    async def GetModelMetadata(
        self, raw: bytes, context: grpc.aio.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        request = requests.small_message(get_model_metadata_pb2.GetModelMetadataRequest, raw)
        if not request.HasField("model_spec"):
            raise invalid("Missing ModelSpec")
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for metadata_field in request.metadata_field:
            if metadata_field != "signature_def":
                raise invalid(f"Metadata field {metadata_field} is not supported")
        model = self._inference.registry.find(Target.of_spec(request.model_spec))
        packed = any_pb2.Any()
        packed.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=model.signature_defs))
        return get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=_spec(request.model_spec, model, ""), metadata={"signature_def": packed}
        )

    def _fill_all(self, response: predict_pb2.PredictResponse, arrays: Mapping[str, np.ndarray]) -> None:
        for key, array in arrays.items():
            fill(response.outputs[key], array, self._as_content)


def _check_tasks(tasks: Sequence[tuple[model_pb2.ModelSpec, LoadedModel, str]]) -> None:
    """Raises RequestError for tasks of several models, for one asked twice, or for another method."""
    if len({spec.name for spec, _, _ in tasks}) > 1:
        raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
    names: set[str] = set()
    for spec, model, method in tasks:
        name = spec.signature_name
        if name in names:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        names.add(name)
        if name not in model.by_row:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if method not in (examples.CLASSIFY, examples.REGRESS):
            raise RequestError(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported signature method_name: {method}")


def _wanted(output_filter: Sequence[str], outputs: Collection[str]) -> Collection[str]:
    """The outputs that a request asks for. Raises RequestError if one is missing or named twice."""
    for number, key in enumerate(output_filter):
        if key not in outputs:
            raise invalid(
                f"output tensor alias not found in signature: {key} "
                f"Outputs expected to be in the set {{{','.join(sorted(outputs))}}}."
            )
        if key in output_filter[:number]:
            raise invalid(f"duplicate output tensor alias: {key}")
    return output_filter or outputs


def _spec(asked: model_pb2.ModelSpec, model: LoadedModel, signature_name: str) -> model_pb2.ModelSpec:
    """The spec of an answer, with the version that answered."""
    spec = model_pb2.ModelSpec(name=asked.name, signature_name=signature_name)
    spec.version.value = model.version
    return spec
