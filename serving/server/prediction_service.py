"""TensorFlow Serving's PredictionService."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2
from google.protobuf.message import Message
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from serving.server import examples
from serving.server.inference import LARGE_BYTES, Inference, is_large
from serving.server.metrics import Metrics
from serving.server.model import DEFAULT_SIGNATURE, LoadedModel
from serving.server.registry import Target
from serving.server.status import aborting, invalid

_MAX_ELEMENTS = 1 << 22

# TensorFlow's number of a type and the field of its values, by NumPy's character for it.
_FIELDS = {
    "O": (types_pb2.DT_STRING, "string_val"),
    "f": (types_pb2.DT_FLOAT, "float_val"),
    "l": (types_pb2.DT_INT64, "int64_val"),
    "i": (types_pb2.DT_INT32, "int_val"),
}


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    def __init__(self, inference: Inference, metrics: Metrics):
        self._inference, self._metrics = inference, metrics

    @aborting
    async def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        with self._metrics.request(request.model_spec.name, "Predict", "GRPC"):
            name = _signature(request.model_spec)
            model = self._inference.registry.find(Target.of_spec(request.model_spec))
            model.check_names(
                name, request.inputs
            )  # Before arrays are made: a wrong request may have many and large ones.
            wanted = _wanted(request.output_filter, model.signature(name).outputs)
            if request.ByteSize() > LARGE_BYTES:
                tensors = await asyncio.to_thread(_to_arrays, request.inputs)
            else:
                tensors = _to_arrays(request.inputs)
            outputs = await self._inference.predict(model, name, tensors)
            response = predict_pb2.PredictResponse(model_spec=_spec(request.model_spec, model, name))
            arrays = {key: outputs[key] for key in wanted}
            if is_large(arrays):
                await asyncio.to_thread(_fill_all, response, arrays)
            else:
                _fill_all(response, arrays)
            return response

    @aborting
    async def Classify(
        self, request: classification_pb2.ClassificationRequest, context: grpc.aio.ServicerContext
    ) -> classification_pb2.ClassificationResponse:
        with self._metrics.request(request.model_spec.name, "Classify", "GRPC"):
            model = self._inference.registry.find(Target.of_spec(request.model_spec))
            spec, result = await _infer(self._inference.classify, model, request.model_spec, request.input)
            return classification_pb2.ClassificationResponse(model_spec=spec, result=result)

    @aborting
    async def Regress(
        self, request: regression_pb2.RegressionRequest, context: grpc.aio.ServicerContext
    ) -> regression_pb2.RegressionResponse:
        with self._metrics.request(request.model_spec.name, "Regress", "GRPC"):
            model = self._inference.registry.find(Target.of_spec(request.model_spec))
            spec, result = await _infer(self._inference.regress, model, request.model_spec, request.input)
            return regression_pb2.RegressionResponse(model_spec=spec, result=result)

    @aborting
    async def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: grpc.aio.ServicerContext
    ) -> inference_pb2.MultiInferenceResponse:
        if not request.tasks:
            raise invalid("Inference request has no tasks")
        if len({task.model_spec.name for task in request.tasks}) > 1:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name")
        with self._metrics.request(request.tasks[0].model_spec.name, "MultiInference", "GRPC"):
            model = self._inference.registry.find(Target.of_spec(request.tasks[0].model_spec))
            response = inference_pb2.MultiInferenceResponse()
            for task in request.tasks:
                result = response.results.add()
                if task.method_name == examples.CLASSIFY:
                    spec, inferred = await _infer(self._inference.classify, model, task.model_spec, request.input)
                    result.classification_result.CopyFrom(inferred)
                elif task.method_name == examples.REGRESS:
                    spec, inferred = await _infer(self._inference.regress, model, task.model_spec, request.input)
                    result.regression_result.CopyFrom(inferred)
                else:
                    raise invalid(f"Unsupported signature method_name: {task.method_name}")
                result.model_spec.CopyFrom(spec)
            return response

    @aborting
    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if list(request.metadata_field) != ["signature_def"]:
            raise invalid("Metadata field has to be signature_def: nothing else is supported")
        model = self._inference.registry.find(Target.of_spec(request.model_spec))
        packed = any_pb2.Any()
        packed.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=model.signature_defs))
        return get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=_spec(request.model_spec, model, ""), metadata={"signature_def": packed}
        )


async def _infer(
    infer: Callable, model: LoadedModel, spec: model_pb2.ModelSpec, given: input_pb2.Input
) -> tuple[model_pb2.ModelSpec, Message]:
    """The spec of an answer, and what a method of Inference returns for the examples of a request."""
    name = _signature(spec)
    return _spec(spec, model, name), await infer(model, name, given)


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


def _fill_all(response: predict_pb2.PredictResponse, arrays: Mapping[str, np.ndarray]) -> None:
    for key, array in arrays.items():
        fill(response.outputs[key], array)


def fill(proto: tensor_pb2.TensorProto, array: np.ndarray) -> None:
    """Puts an array into an empty TensorProto, in typed fields, as TensorFlow Serving sends it."""
    if array.dtype.char not in _FIELDS:
        proto.CopyFrom(tf.make_tensor_proto(array))
        return
    proto.dtype, field = _FIELDS[array.dtype.char]
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(array.ravel().tolist())


def _to_arrays(protos: Mapping[str, tensor_pb2.TensorProto]) -> dict[str, np.ndarray]:
    return {key: _to_array(key, proto) for key, proto in protos.items()}


def _to_array(key: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    shape = [dim.size for dim in proto.tensor_shape.dim]
    size = math.prod(shape)
    if size > _MAX_ELEMENTS:  # A message can have a large shape without its values.
        raise invalid(f"input {key} has {size} elements, more than {_MAX_ELEMENTS}")
    try:
        if proto.dtype == types_pb2.DT_STRING and len(proto.string_val) == size:  # Usual; takes a tenth of the time.
            array = np.empty(size, object)
            array[:] = proto.string_val
            return array.reshape(shape)
        return tf.make_ndarray(proto)
    except Exception as error:  # A client may send any bytes.
        raise invalid(f"input {key} is not a valid tensor: {error}") from error


def _signature(spec: model_pb2.ModelSpec) -> str:
    return spec.signature_name or DEFAULT_SIGNATURE


def _spec(asked: model_pb2.ModelSpec, model: LoadedModel, signature_name: str) -> model_pb2.ModelSpec:
    """The spec of an answer, with the version that answered."""
    spec = model_pb2.ModelSpec(name=asked.name, signature_name=signature_name)
    spec.version.value = model.version
    return spec
