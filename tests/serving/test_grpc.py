"""TensorFlow Serving's gRPC API, asked of a real process with TensorFlow Serving's own stubs."""

import grpc
import pytest
import requests
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from tests.serving.conftest import LONG_SECONDS, Gate, export, serving


@pytest.fixture(scope="module")
def channel(server):
    with server.channel() as channel:
        yield channel


def predict(channel, signature="", version=None, name="toy", filters=(), **inputs):
    request = predict_pb2.PredictRequest(output_filter=filters)
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=LONG_SECONDS)


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
        (
            {"user": ["1"]},
            "INVALID_ARGUMENT",
            "input tensor alias not found in signature: user. Inputs expected to be in the set {user_id}.",
        ),
        ({}, "INVALID_ARGUMENT", "input size does not match signature: 0!=1 len({}) != len({user_id})."),
        ({"name": "", "user_id": ["1"]}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        ({"user_id": [1]}, "INVALID_ARGUMENT", "Expects arg[0] to be string but int32 is provided"),
        ({"name": "foo", "user_id": ["1"]}, "NOT_FOUND", "Servable not found for request: Latest(foo)"),
        ({"version": 9, "user_id": ["1"]}, "NOT_FOUND", "Servable not found for request: Specific(toy, 9)"),
        (
            {"filters": ["no"], "user_id": ["1"]},
            "INVALID_ARGUMENT",
            "output tensor alias not found in signature: no Outputs expected to be in the set {greeting}.",
        ),
        (
            {"filters": ["greeting"] * 2, "user_id": ["1"]},
            "INVALID_ARGUMENT",
            "duplicate output tensor alias: greeting",
        ),
    ],
)
def test_errors_carry_the_codes_of_tensorflow_serving(channel, arguments, code, message):
    with pytest.raises(grpc.RpcError) as error:
        predict(channel, **arguments)
    assert error.value.code().name == code
    assert message in error.value.details()


def test_inputs_that_a_signature_does_not_take_are_refused_before_they_are_read(channel):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "toy"
    request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(["42"]))
    request.inputs["vast"].CopyFrom(tf.make_tensor_proto([0.0]))
    request.inputs["vast"].tensor_shape.dim[0].size = 1 << 40
    with pytest.raises(grpc.RpcError) as error:
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=LONG_SECONDS)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "Sent extra: {vast}" in error.value.details()


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


@pytest.fixture(scope="module")
def examples_stub(configured):
    with configured.server.channel() as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def examples(*values, context=False):
    given = input_pb2.Input()
    kind = given.example_list_with_context if context else given.example_list
    if context:
        kind.context.features.feature["x"].float_list.value.append(0.25)
    for value in values:
        example = kind.examples.add()
        if value is not None:
            example.features.feature["x"].float_list.value.append(value)
    return given


def test_classify_and_regress_take_examples(examples_stub):
    request = classification_pb2.ClassificationRequest(input=examples(0.75, None, context=True))
    request.model_spec.name = "examples"
    response = examples_stub.Classify(request, timeout=LONG_SECONDS)
    found = [[(one.label, one.score) for one in entry.classes] for entry in response.result.classifications]
    assert found == [[("yes", 0.75), ("no", 0.25)], [("yes", 0.25), ("no", 0.75)]]
    assert response.model_spec.version.value == 1
    request = regression_pb2.RegressionRequest(input=examples(0.5, 3.0))
    request.model_spec.name, request.model_spec.signature_name = "examples", "value"
    assert [entry.value for entry in examples_stub.Regress(request, timeout=LONG_SECONDS).result.regressions] == [
        1.0,
        6.0,
    ]


def test_multi_inference_runs_tasks_of_both_kinds(examples_stub):
    request = inference_pb2.MultiInferenceRequest(input=examples(0.5))
    for signature, method in (("serving_default", "classify"), ("value", "regress")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name, task.model_spec.signature_name = "examples", signature
    first, second = examples_stub.MultiInference(request, timeout=LONG_SECONDS).results
    assert first.classification_result.classifications[0].classes[0].label == "yes"
    assert second.regression_result.regressions[0].value == 1.0
    assert second.model_spec.signature_name == "value"


def test_signatures_of_another_kind_and_empty_inputs_are_refused(examples_stub):
    request = regression_pb2.RegressionRequest(input=examples(0.5))
    request.model_spec.name = "examples"
    with pytest.raises(grpc.RpcError) as error:
        examples_stub.Regress(request, timeout=LONG_SECONDS)
    assert error.value.details() == "Expected one output Tensor."
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "examples"
    with pytest.raises(grpc.RpcError) as error:
        examples_stub.Classify(request, timeout=LONG_SECONDS)
    assert (error.value.code().name, error.value.details()) == ("INVALID_ARGUMENT", "Input is empty.")


def test_classify_and_regress_over_rest(configured):
    url = configured.server.url("examples")
    body = {"context": {"x": 0.25}, "examples": [{"x": [0.75]}, {}]}
    answer = requests.post(f"{url}:classify", json=body).json()
    assert answer == {"results": [[["yes", 0.75], ["no", 0.25]], [["yes", 0.25], ["no", 0.75]]]}
    body = {"signature_name": "value", "examples": [{"x": 3.0}]}
    assert requests.post(f"{url}:regress", json=body).json() == {"results": [6.0]}
    answer = requests.post(f"{url}:regress", json={"signature_name": "value", "examples": [{"x": [1.0, "a"]}]})
    assert (answer.status_code, answer.json()) == (
        400,
        {"error": "Unexpected element type in feature: x expecting type: float"},
    )


def test_the_standard_health_service_says_that_the_models_can_answer(channel):
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert health.status == health_pb2.HealthCheckResponse.SERVING


def test_the_health_is_watched(channel):
    watched = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=LONG_SECONDS)
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    watched.cancel()


def test_a_reload_request_changes_models_and_labels(tmp_path):
    for name, factor in (("toy/1", 1), ("toy/2", 2), ("other/1", 5)):
        export(tmp_path / name, factor)
    with serving(tmp_path / "toy") as server, server.channel() as channel:
        reload = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest

        def product(name, label=""):
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = name, "scale"
            if label:
                request.model_spec.version_label = label
            request.inputs["number"].CopyFrom(tf.make_tensor_proto(tf.constant([[1]], tf.int64)))
            request.inputs["offset"].CopyFrom(tf.make_tensor_proto([0.0]))
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            return stub.Predict(request, timeout=LONG_SECONDS).outputs["product"].float_val[0]

        request = model_management_pb2.ReloadConfigRequest()
        toy = request.config.model_config_list.config.add(name="toy", base_path=str(tmp_path / "toy"))
        toy.model_version_policy.all.SetInParent()
        toy.version_labels.update({"stable": 1, "canary": 2})
        request.config.model_config_list.config.add(name="other", base_path=str(tmp_path / "other"))
        assert reload(request, timeout=LONG_SECONDS).status.error_code == 0
        assert [product("toy", "stable"), product("toy", "canary"), product("toy"), product("other")] == [1, 2, 2, 5]
        del request.config.model_config_list.config[0]
        assert reload(request, timeout=LONG_SECONDS).status.error_code == 0
        with pytest.raises(grpc.RpcError, match=r"Servable not found for request: Latest\(toy\)"):
            product("toy")
        status = reload(model_management_pb2.ReloadConfigRequest(), timeout=LONG_SECONDS).status
        assert (status.error_code, product("other")) == (grpc.StatusCode.INVALID_ARGUMENT.value[0], 5)


def hold_request(gate):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "hold"
    request.inputs["path"].CopyFrom(tf.make_tensor_proto([gate.path]))
    return request


def test_a_deadline_is_honoured_and_what_waits_behind_it_is_answered(channel, tmp_path):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    behind = predict_pb2.PredictRequest()
    behind.model_spec.name = "toy"
    behind.inputs["user_id"].CopyFrom(tf.make_tensor_proto(["42"]))
    with Gate(tmp_path) as gate:
        with pytest.raises(grpc.RpcError) as error:
            stub.Predict(hold_request(gate), timeout=0.2)
        assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        waiting = stub.Predict.future(behind, timeout=LONG_SECONDS)
        gate.open()
        assert list(waiting.result().outputs["greeting"].string_val) == [b"hello 42"]


def test_unix_sockets_channel_arguments_and_the_time_for_rest_requests(tmp_path):
    export(tmp_path / "models" / "1")
    socket = tmp_path / "socket"
    arguments = ["--grpc_socket_path", socket, "--grpc_channel_arguments=grpc.max_receive_message_length=99"]
    with serving(tmp_path / "models", *arguments, "--rest_api_timeout_in_ms=1") as server:
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            assert list(predict(channel, user_id=["42"]).outputs["greeting"].string_val) == [b"hello 42"]
            with pytest.raises(grpc.RpcError) as error:
                predict(channel, user_id=["x" * 100])
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        with Gate(tmp_path) as gate:
            body = {"signature_name": "hold", "instances": [gate.path]}
            answer = requests.post(f"{server.url()}:predict", json=body)
        assert (answer.status_code, answer.json()) == (504, {"error": "No answer within 0.001 s"})
