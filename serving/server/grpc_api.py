"""TensorFlow Serving's gRPC services."""

from __future__ import annotations

import asyncio

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.server.model import DEFAULT_SIGNATURE
from serving.server.status import RequestError, invalid
from serving.server.versions import VersionManager


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata."""

    def __init__(self, manager: VersionManager):
        self._manager = manager

    async def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        try:
            model = self._manager.find(*_name_and_version(request.model_spec))
            tensors = {key: _to_array(key, proto) for key, proto in request.inputs.items()}
            outputs = await asyncio.to_thread(model.run, name, tensors)
        except RequestError as error:
            await context.abort(error.code, str(error))
        response = predict_pb2.PredictResponse()
        _set_spec(response.model_spec, request.model_spec.name, model.version, name)
        for key in request.output_filter or outputs:
            if key not in outputs:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"output tensor alias not found: {key}")
            response.outputs[key].CopyFrom(to_proto(outputs[key]))
        return response

    async def GetModelMetadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        try:
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid("Metadata field has to be signature_def: nothing else is supported")
            model = self._manager.find(*_name_and_version(request.model_spec))
        except RequestError as error:
            await context.abort(error.code, str(error))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _set_spec(response.model_spec, request.model_spec.name, model.version, "")
        packed = any_pb2.Any()
        packed.Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=model.signature_defs))
        response.metadata["signature_def"].CopyFrom(packed)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus."""

    def __init__(self, manager: VersionManager):
        self._manager = manager

    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        try:
            statuses = self._manager.statuses(*_name_and_version(request.model_spec))
        except RequestError as error:
            await context.abort(error.code, str(error))
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in statuses:
            entry = response.model_version_status.add(
                version=status.version,
                state=get_model_status_pb2.ModelVersionStatus.State.Value(status.state),
            )
            entry.status.error_code = status.error_code
            entry.status.error_message = status.error_message
        return response


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """A TensorProto in typed fields, as TensorFlow Serving sends it."""
    dtype = tf.string if array.dtype == object else tf.dtypes.as_dtype(array.dtype)
    proto = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape(array.shape).as_proto())
    field = {tf.string: "string_val", tf.float32: "float_val", tf.int64: "int64_val", tf.int32: "int_val"}.get(dtype)
    if field is None:
        return tf.make_tensor_proto(array)
    getattr(proto, field).extend(array.ravel().tolist())
    return proto


def _to_array(key: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    try:
        return tf.make_ndarray(proto)
    except (ValueError, TypeError) as error:
        raise invalid(f"input {key} is not a valid tensor: {error}") from error


def _name_and_version(spec: model_pb2.ModelSpec) -> tuple[str, int | None]:
    return spec.name, spec.version.value if spec.HasField("version") else None


def _set_spec(spec: model_pb2.ModelSpec, name: str, version: int, signature_name: str) -> None:
    spec.name = name
    spec.version.value = version
    spec.signature_name = signature_name
