"""TensorFlow Serving's gRPC API, asked of a real process with TensorFlow Serving's own stubs."""

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server[1]}") as channel:
        yield channel


def predict(channel, signature="", version=None, name="toy", filters=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=filters)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=10)


def test_predict_answers_in_typed_fields_with_the_resolved_spec(channel):
    response = predict(channel, user_id=["42"])
    assert list(response.outputs["greeting"].string_val) == [b"hello 42"]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("toy", 7, "serving_default")
    numbers = tf.constant([[1, 2]], tf.int64)
    product = predict(channel, "scale", 7, number=numbers, offset=[0.5]).outputs["product"]
    assert (list(product.float_val), product.tensor_content) == ([2.5, 4.5], b"")


def test_an_output_filter_is_honoured(channel):
    response = predict(channel, "scale", filters=["product"], number=tf.constant([[1]], tf.int64), offset=[0.0])
    assert list(response.outputs) == ["product"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"signature": "x", "user_id": ["1"]}, "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        ({"user": ["1"]}, "INVALID_ARGUMENT", "input size does not match signature: 1!=1"),
        ({"user_id": [1]}, "INVALID_ARGUMENT", "to be string but int32 is provided"),
        ({"user_id": [["1"]]}, "INVALID_ARGUMENT", "the signature takes [?]"),
        ({"name": "foo", "user_id": ["1"]}, "NOT_FOUND", "Servable not found for request: Latest(foo)"),
        ({"version": 9, "user_id": ["1"]}, "NOT_FOUND", "Servable not found for request: Specific(toy, 9)"),
        ({"filters": ["no"], "user_id": ["1"]}, "INVALID_ARGUMENT", "output tensor alias not found: no"),
    ],
)
def test_errors_carry_the_codes_of_tensorflow_serving(channel, arguments, code, message):
    with pytest.raises(grpc.RpcError) as error:
        predict(channel, **arguments)
    assert error.value.code().name == code
    assert message in error.value.details()


def test_status_and_metadata(channel):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "toy"
    (status,) = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request).model_version_status
    assert (status.version, status.State.Name(status.state)) == (7, "AVAILABLE")
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "toy"
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).GetModelMetadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "scale", "fail"} <= set(signatures.signature_def)
