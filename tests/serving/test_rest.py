"""TensorFlow Serving's REST API, asked of a real process."""

import pytest
import requests
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.serving.conftest import LONG_SECONDS, export, serving, wait_for


def post(url, body, **kwargs):
    return requests.post(f"{url}:predict", json=body, **kwargs)


def test_row_form_with_one_input_and_one_output_drops_both_names(server):
    assert post(server.url(), {"instances": ["42", ""]}).json() == {"predictions": ["hello 42", "hello "]}


def test_row_form_with_several_inputs_names_each(server):
    rows = [{"number": [1, 2], "offset": 0.5}, {"number": [3, 4], "offset": 1}]
    answer = post(server.url(), {"signature_name": "scale", "instances": rows}).json()
    assert answer["predictions"][1]["product"] == [7.0, 9.0]
    assert answer["predictions"][0]["raw_bytes"] == [{"b64": "MQ=="}, {"b64": "Mg=="}]


def test_column_form_ignores_extra_keys(server):
    inputs = {"number": [[1, 2]], "offset": [0.0], "more": 1}
    answer = post(server.url(), {"signature_name": "scale", "inputs": inputs}).json()
    assert answer["outputs"]["product"] == [[2.0, 4.0]]


def test_column_form_of_one_input_takes_the_bare_list(server):
    assert post(server.url(), {"inputs": ["a"]}).json() == {"outputs": ["hello a"]}


def test_base64_strings_are_read(server):
    assert post(server.url(), {"instances": [{"b64": "w6k="}]}).json() == {"predictions": ["hello é"]}


def test_an_empty_inner_list_keeps_its_rank(server):
    answer = post(server.url(), {"signature_name": "scale", "inputs": {"number": [[]], "offset": [1.0]}})
    assert answer.json()["outputs"]["product"] == [[]]


@pytest.mark.parametrize("path", ["", "/versions/7"])
def test_status_lists_the_version_as_a_string(server, path):
    assert requests.get(server.url() + path).json() == {
        "model_version_status": [
            {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


def test_metadata_holds_the_signatures(server):
    body = requests.get(f"{server.url()}/metadata").json()
    assert body["model_spec"] == {"name": "toy", "signature_name": "", "version": "7"}
    entry = body["metadata"]["signature_def"]["signature_def"]["scale"]["inputs"]["number"]
    assert entry["dtype"] == "DT_INT64"
    assert [dim["size"] for dim in entry["tensor_shape"]["dim"]] == ["-1", "-1"]


def scale(number):
    return {"signature_name": "scale", "inputs": {"number": number, "offset": [1]}}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"signature_name": "no", "instances": ["1"]}, 'Serving signature name: "no" not found in signature def'),
        ({}, "Missing 'inputs' or 'instances' key"),
        ([1], "JSON Value: [\n    1\n] Is not object"),
        ({"instances": [1]}, "JSON Value: 1 Type: Number is not of expected type: string"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": 1}, "Excepting 'instances' to be an list/array"),
        ({"instances": ["a"], "inputs": ["a"]}, "expecting only one of 'inputs' or 'instances' keys to exist"),
        ({"instances": ["a", {"user_id": "b"}]}, "Expecting value/list but got object at item 1 of input list"),
        ({"instances": [{"user_id": "a"}, "b"]}, "Expecting object but got list at item 1 of input list"),
        ({"instances": [{"user": "a"}]}, "JSON object: does not have named input: user"),
        (
            {"instances": ["a", ["b"]]},
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting",
        ),
        ({"signature_name": "scale", "instances": [1]}, "instances is a plain list, but expecting list of objects"),
        ({"signature_name": "scale", "inputs": [1]}, "inputs is a plain value/list, but expecting an object"),
        ({"signature_name": "scale", "instances": [{"number": [1]}]}, "must only have keys: number,offset"),
        ({"signature_name": "scale", "inputs": {"number": [[1]]}}, "Missing named input: offset in 'inputs' object."),
        (scale([[1.0]]), "JSON Value: 1.0 Type: Number is not of expected type: int64"),
        (scale([[1], [2, 3]]), "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
        (scale([[1], 2]), "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        (scale([1, [2]]), "Encountered list at unexpected level: 1 expected < 1"),
        (scale([[2**70]]), "Type: Number is not of expected type: int64"),
        (scale([[None]]), "JSON Value: null Type: Null is not of expected type: int64"),
        (
            {"signature_name": "negate", "instances": [2**32 + 1]},
            "JSON Value: 4294967297 Type: Number is not of expected",
        ),
        (
            {"signature_name": "whole", "inputs": {"x": 1e300, "y": [1, 2]}},
            "value: 1e+300 to float without loss of prec",
        ),
        ({"signature_name": "whole", "inputs": {"x": 2**24, "y": [1, 2]}}, "value: 16777216 to float without loss of"),
        ({"signature_name": None, "instances": ["1"]}, "'signature_name' key must be a string value."),
        ({"signature_name": "fail", "instances": ["1"]}, "never mind"),
        ({"instances": ["\ud800"]}, "JSON Parse error: The surrogate pair in string is invalid."),
        ({"instances": [{"b64": "é"}]}, "Unable to base64 decode"),
        (
            {"inputs": [[[]] for _ in range(2)] + [[]]},
            "Encountered list at unexpected size: 0 at level: 1 expected size: 1",
        ),
    ],
)
def test_wrong_requests_say_what_is_wrong_in_tensorflow_servings_words(server, body, message):
    answer = post(server.url(), body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/json")
    assert message in answer.json()["error"]
    assert "Traceback" not in answer.text


def test_an_empty_signature_name_is_the_default_one(server):
    assert post(server.url(), {"signature_name": "", "instances": ["1"]}).json() == {"predictions": ["hello 1"]}


def test_infinite_numbers_are_no_large_ones(server):
    body = '{"signature_name": "whole", "inputs": {"x": Infinity, "y": [1, 2]}}'
    assert requests.post(f"{server.url()}:predict", data=body).json() == {"outputs": float("inf")}


def test_a_body_that_is_not_compressed_as_it_says(server):
    answer = requests.post(f"{server.url()}:predict", data=b"{}", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert "Can not decode content-encoding: gzip" in answer.json()["error"]


def test_an_answer_that_is_larger_than_its_request(server):
    users = [str(number) for number in range(9_000)]
    assert post(server.url(), {"instances": users}).json() == {"predictions": [f"hello {user}" for user in users]}


def test_what_is_no_json_is_a_parse_error(server):
    answer = requests.post(f"{server.url()}:predict", data="{instances")
    assert answer.status_code == 400
    assert answer.json()["error"] == "JSON Parse error: Missing a name for object member. at offset: 1"


def test_unknown_models_versions_and_routes(server):
    assert post(server.url("foo"), {"instances": ["1"]}).json() == {
        "error": "Servable not found for request: Latest(foo)"
    }
    answer = post(f"{server.url()}/versions/99", {"instances": ["1"]})
    assert (answer.status_code, answer.json()["error"]) == (404, "Servable not found for request: Specific(toy, 99)")
    assert requests.get(server.url("foo")).json() == {"error": "Could not find any versions of model foo"}
    root = f"http://127.0.0.1:{server.rest_port}"
    for method, path, status, message in (
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/toy:predict", 400, "Malformed request: GET /v1/models/toy:predict"),
        ("POST", "/v1/models/toy/metadata", 400, "Malformed request: POST /v1/models/toy/metadata"),
        ("GET", f"/v1/models/toy/versions/{'9' * 5000}", 400, f"Failed to convert version: {'9' * 5000} to numeric."),
        ("GET", "/v1/models/toy/versions/99", 404, "Could not find version 99 of model toy"),
        ("GET", "/statuspage", 404, "Not found: GET /statuspage"),
    ):
        answer = requests.request(method, root + path)
        assert (answer.status_code, answer.json()) == (status, {"error": message})
    answer = requests.post(f"{root}/V1/Models/toy:PREDICT", json={"instances": ["1"]})
    assert answer.json() == {"predictions": ["hello 1"]}


def product(url):
    """The factor of the version that answers."""
    body = {"signature_name": "scale", "inputs": {"number": [[1]], "offset": [0]}}
    return post(url, body).json()["outputs"]["product"][0][0]


def test_a_server_waits_for_a_first_version_takes_newer_ones_over_refuses_broken_ones_and_stops_when_told(tmp_path):
    for version in (1, 2):
        export(tmp_path / "ready" / str(version), factor=version)
    (tmp_path / "models").mkdir()
    with serving(tmp_path / "models", "--file_system_poll_wait_seconds=0.05") as server:
        assert post(server.url(), {"instances": ["1"]}).status_code == 404
        with server.channel() as channel:
            health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.NOT_SERVING

        (tmp_path / "ready" / "1").rename(tmp_path / "models" / "1")
        wait_for(lambda: post(server.url(), {"instances": ["1"]}).status_code == 200)
        assert product(server.url()) == 1
        (tmp_path / "ready" / "2").rename(tmp_path / "models" / "2")
        wait_for(lambda: product(server.url()) == 2)

        (tmp_path / "models" / "3").mkdir()
        (tmp_path / "models" / "3" / "saved_model.pb").write_bytes(b"not a graph")
        wait_for(lambda: len(requests.get(server.url()).json()["model_version_status"]) == 3)
        wait_for(lambda: requests.get(server.url()).json()["model_version_status"][0]["state"] == "END")
        broken, current, _ = requests.get(server.url()).json()["model_version_status"]
        assert (broken["version"], broken["status"]["error_code"]) == ("3", "UNKNOWN")
        assert (current["version"], current["state"]) == ("2", "AVAILABLE")
        assert product(server.url()) == 2

        server.process.terminate()
        assert server.process.wait(LONG_SECONDS) == 0


def test_a_version_answers_its_warm_up_requests_before_it_serves(configured):
    failed, served = requests.get(configured.server.url("warmed")).json()["model_version_status"]
    assert (failed["version"], failed["state"]) == ("2", "END")
    assert "never mind" in failed["status"]["error_message"]
    assert (served["version"], served["state"]) == ("1", "AVAILABLE")


def test_labels_are_part_of_the_path(configured):
    url, config = configured.server.url(), configured.models_config.read_text()
    paths = ("/labels/stable", "/versions/1", "/versions/2", "")
    assert [product(url + path) for path in paths] == [1, 1, 2, 2]
    for label in ("stable", "no"):  # TensorFlow Serving lists all versions, whatever the label.
        assert len(requests.get(f"{url}/labels/{label}").json()["model_version_status"]) == 2
    answer = post(f"{url}/labels/no", {"instances": ["1"]})
    assert (answer.status_code, answer.json()) == (400, {"error": "Unrecognized servable version label: no"})
    configured.models_config.write_text(config.replace("value: 1", "value: 2"))
    wait_for(lambda: product(f"{url}/labels/stable") == 2)
    configured.models_config.write_text(config)
    wait_for(lambda: product(f"{url}/labels/stable") == 1)


def test_metrics_count_requests_under_the_names_of_tensorflow_serving(server):
    def counted():
        lines = requests.get(f"http://127.0.0.1:{server.rest_port}/monitoring/prometheus/metrics").text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def grown(key):
        return after[key] - before.get(key, 0)

    before = counted()
    post(server.url(), {"instances": ["42"]})
    post(server.url(), {"instances": [1]})
    post(server.url("made-up"), {"instances": ["1"]})
    requests.post(server.url("made-up-too") + ":predict", data="x")
    after = counted()
    assert not [key for key in after if "made-up" in key], "clients cannot make up labels without end"
    assert grown(':tensorflow:serving:request_count{model_name="toy",status="OK"}') == 1
    assert grown(':tensorflow:serving:request_count{model_name="toy",status="INVALID_ARGUMENT"}') == 1
    assert grown(':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}') == 2
    latency = ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="REST",model_name="toy"}'
    assert grown(latency) == 2
    assert grown(":tensorflow:serving:batching:processed_batch_size_sum") == 1


def test_configuration_files_of_tensorflow_serving_are_read(configured):
    url = configured.server.url()
    answer = post(url, {"signature_name": "count", "instances": ["a"] * 5})
    assert answer.json()["predictions"] == [4, 4, 4, 4, 1]
    answer = post(url, {"instances": ["a"] * 401})
    assert (answer.status_code, "A request of 401 rows is larger" in answer.json()["error"]) == (400, True)
    assert requests.get(f"http://127.0.0.1:{configured.server.rest_port}/metrics").status_code == 200
