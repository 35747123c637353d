"""Classify, Regress and MultiInference on a model that TensorFlow 2 exported, over both protocols."""

import grpc
import pytest
import requests
from tensorflow_serving.apis import classification_pb2, inference_pb2, prediction_service_pb2_grpc

from tests.serving.conftest import LONG_SECONDS, export_of_examples_by_tensorflow_2, serving

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def base_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("examples")
    export_of_examples_by_tensorflow_2(path / "1")
    return path


@pytest.fixture(scope="module")
def examples(base_path):
    with serving(base_path) as server:
        yield server


def post(server, method, body):
    answer = requests.post(f"{server.url()}:{method}", json=body)
    return answer.json() if answer.ok else (answer.status_code, answer.json()["error"])


def test_signatures_of_any_name_are_classified_and_regressed(examples):
    assert post(examples, "classify", {"examples": [{"x": 0.25}]}) == {"results": [[["yes", 0.25], ["no", 0.75]]]}
    body = {"signature_name": "value", "examples": [{"x": 0.1}, {"x": [5e-7]}]}
    assert post(examples, "regress", body) == {"results": [0.2, 1e-6]}


def test_unless_names_are_checked(base_path):
    with serving(base_path, "--enable_signature_method_name_check") as server:
        message = f"Expected classification signature method_name to be {CLASSIFY}. Was: tensorflow/serving/predict"
        assert post(server, "classify", {"examples": [{"x": 0.25}]}) == (400, message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "When method is classify, key 'examples' is expected and was not found"),
        ({"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ({"examples": []}, "'examples' value is an empty array"),
        ({"examples": [1]}, "Example must be JSON object but got JSON Number"),
        ({"examples": [{"x": None}]}, "Feature: x has element with unexpected JSON type: Null"),
        ({"examples": [{"x": [[1.0]]}]}, "Feature: x has element with unexpected JSON type: Array"),
        ({"examples": [{"x": {"a": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": [1, 2.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": [2.5, 1]}]}, "Unexpected element type in feature: x expecting type: float"),
        ({"examples": [{"x": [1, "a"]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": 1e39}]}, "Cannot convert JSON value: 1e+39 to float without loss of precision."),
        ({"examples": [{"x": 2**63}]}, "Feature: x has uint64 element. Only int64 is supported."),
        ({"examples": [{"x": 0.5}], "signature_name": "no"}, "No signature was found with the name: no"),
        ({"examples": [{"x": 0.5}], "signature_name": "value"}, 'contain at least one of "classes" or "scores".'),
        (
            {"examples": [{"x": 0.5}], "signature_name": "integers"},
            "Expected classes Tensor of DT_STRING. Got: DT_INT32",
        ),
    ],
)
def test_wrong_requests_say_what_is_wrong_in_tensorflow_servings_words(examples, body, message):
    status, error = post(examples, "classify", body)
    assert status == 400 and message in error


def test_bytes_that_are_no_text(examples):
    raw = b'{"signature_name": "\xff", "examples": [{"\xff": 1}]}'
    answer = requests.post(f"{examples.url()}:classify", data=raw)
    assert (answer.status_code, answer.json()) == (400, {"error": "No signature was found with the name: ?"})


@pytest.fixture(scope="module")
def multi_inference(examples):
    with examples.channel() as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel).MultiInference


def request_of(*tasks):
    request = inference_pb2.MultiInferenceRequest()
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(0.5)
    for signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "toy", signature
    return request


def test_multi_inference_of_both_kinds(multi_inference):
    first, second = multi_inference(request_of(("", CLASSIFY), ("value", REGRESS)), timeout=LONG_SECONDS).results
    assert first.classification_result.classifications[0].classes[1].score == 0.5
    assert first.model_spec.signature_name == "serving_default"
    assert second.regression_result.regressions[0].value == 1.0


@pytest.mark.parametrize(
    ("tasks", "code", "message"),
    [
        ([], "INVALID_ARGUMENT", "Inference request has no tasks"),
        ([("value", REGRESS)] * 2, "INVALID_ARGUMENT", "Duplicate evaluation of signature: value"),
        ([("no", REGRESS)], "INVALID_ARGUMENT", "Requested signature not found in model graph: no"),
        ([("value", "x")], "UNIMPLEMENTED", "Unsupported signature method_name: x"),
        ([("value", CLASSIFY)], "FAILED_PRECONDITION", "Expected classification signature outputs to contain"),
    ],
)
def test_wrong_tasks(multi_inference, tasks, code, message):
    with pytest.raises(grpc.RpcError) as error:
        multi_inference(request_of(*tasks), timeout=LONG_SECONDS)
    assert error.value.code().name == code and message in error.value.details()


def test_many_examples_are_read_by_a_worker(examples):
    body = {"examples": [{"x": number / 1000} for number in range(2000)]}
    results = post(examples, "classify", body)["results"]
    assert [result[0][1] for result in results] == [number / 1000 for number in range(2000)]
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "toy"
    for number in range(1000):
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(number)
    assert request.ByteSize() > 16 << 10
    with examples.channel() as channel:
        response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Classify(request, timeout=LONG_SECONDS)
    assert [entry.classes[0].score for entry in response.result.classifications] == list(range(1000))
