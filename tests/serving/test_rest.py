"""TensorFlow Serving's REST API, asked of a real process."""

import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tests.serving.conftest import export, serving, wait_for


def post(url, body, **kwargs):
    return requests.post(f"{url}:predict", json=body, **kwargs)


def test_row_form_with_one_input_and_one_output_drops_both_names(server):
    assert post(server[2], {"instances": ["42", ""]}).json() == {"predictions": ["hello 42", "hello "]}


def test_row_form_with_several_inputs_names_each(server):
    rows = [{"number": [1, 2], "offset": 0.5}, {"number": [3, 4], "offset": 1}]
    answer = post(server[2], {"signature_name": "scale", "instances": rows}).json()
    assert answer["predictions"][1]["product"] == [7.0, 9.0]
    assert answer["predictions"][0]["raw_bytes"] == [{"b64": "MQ=="}, {"b64": "Mg=="}]


def test_column_form_ignores_extra_keys(server):
    inputs = {"number": [[1, 2]], "offset": [0.0], "more": 1}
    answer = post(server[2], {"signature_name": "scale", "inputs": inputs}).json()
    assert answer["outputs"]["product"] == [[2.0, 4.0]]


def test_column_form_of_one_input_takes_the_bare_list(server):
    assert post(server[2], {"inputs": ["a"]}).json() == {"outputs": ["hello a"]}


def test_base64_strings_are_read(server):
    assert post(server[2], {"instances": [{"b64": "w6k="}]}).json() == {"predictions": ["hello é"]}


def test_an_empty_inner_list_keeps_its_rank(server):
    answer = post(server[2], {"signature_name": "scale", "inputs": {"number": [[]], "offset": [1.0]}})
    assert answer.json()["outputs"]["product"] == [[]]


@pytest.mark.parametrize("path", ["", "/versions/7"])
def test_status_lists_the_version_as_a_string(server, path):
    assert requests.get(server[2] + path).json() == {
        "model_version_status": [
            {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


def test_metadata_holds_the_signatures(server):
    body = requests.get(f"{server[2]}/metadata").json()
    assert body["model_spec"] == {"name": "toy", "signature_name": "", "version": "7"}
    entry = body["metadata"]["signature_def"]["signature_def"]["scale"]["inputs"]["number"]
    assert entry["dtype"] == "DT_INT64"
    assert [dim["size"] for dim in entry["tensor_shape"]["dim"]] == ["-1", "-1"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"signature_name": "no", "instances": ["1"]}, 400, 'Serving signature name: "no" not found in signature def'),
        ({}, 400, "Missing 'inputs' or 'instances' key"),
        ({"instances": [1]}, 400, "is not of expected type: string"),
        ({"instances": []}, 400, "empty list"),
        ({"signature_name": "scale", "instances": [{"number": [1]}]}, 400, "keys number, offset"),
        (
            {"signature_name": "scale", "inputs": {"number": [[1]]}},
            400,
            "Missing named input: offset in 'inputs' object.",
        ),
        ({"signature_name": "scale", "inputs": {"number": [[1.0]], "offset": [1]}}, 400, "not of expected type: int64"),
        ({"signature_name": "scale", "inputs": {"number": [[1], [2, 3]], "offset": [1]}}, 400, "different lengths"),
        ({"signature_name": "scale", "inputs": {"number": [1], "offset": [1]}}, 400, "the signature takes [?,?]"),
        ({"signature_name": "scale", "inputs": {"number": [[2**70]], "offset": [1]}}, 400, "does not fit int64"),
        ({"signature_name": "work", "instances": [2**32 + 1]}, 400, "does not fit int32: out of range"),
        ({"signature_name": "whole", "inputs": {"x": 1e300, "y": [1, 2]}}, 400, "does not fit float32: out of range"),
        ({"signature_name": None, "instances": ["1"]}, 400, "not found in signature def"),
        ({"signature_name": "fail", "instances": ["1"]}, 400, "never mind"),
        ({"instances": ["\ud800"]}, 400, "no Unicode text: surrogates not allowed"),
    ],
)
def test_wrong_requests_say_what_is_wrong(server, body, status, message):
    answer = post(server[2], body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert message in answer.json()["error"]
    assert "Traceback" not in answer.text


def test_an_empty_signature_name_is_the_default_one(server):
    assert post(server[2], {"signature_name": "", "instances": ["1"]}).json() == {"predictions": ["hello 1"]}


def test_infinite_numbers_are_no_large_ones(server):
    body = '{"signature_name": "whole", "inputs": {"x": Infinity, "y": [1, 2]}}'
    assert requests.post(f"{server[2]}:predict", data=body).json() == {"outputs": float("inf")}


def test_a_body_that_is_not_compressed_as_it_says(server):
    answer = requests.post(f"{server[2]}:predict", data=b"{}", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400
    assert "Can not decode content-encoding: gzip" in answer.json()["error"]


def test_an_answer_that_is_larger_than_its_request(server):
    users = [str(number) for number in range(9_000)]
    assert post(server[2], {"instances": users}).json() == {"predictions": [f"hello {user}" for user in users]}


def test_what_is_no_json_is_a_parse_error(server):
    answer = requests.post(f"{server[2]}:predict", data="{instances")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("JSON Parse error")


def test_unknown_models_versions_and_routes(server):
    assert post(server[2].replace("toy", "foo"), {"instances": ["1"]}).json() == {
        "error": "Servable not found for request: Latest(foo)"
    }
    answer = post(f"{server[2]}/versions/99", {"instances": ["1"]})
    assert (answer.status_code, answer.json()["error"]) == (404, "Servable not found for request: Specific(toy, 99)")
    assert requests.get(server[2].replace("toy", "foo")).json() == {"error": "Could not find any versions of model foo"}
    answer = requests.get(server[2].replace("/toy", ""))
    assert (answer.status_code, answer.json()) == (400, {"error": "Malformed request: GET /v1/models"})


def test_a_new_version_takes_over_and_a_broken_one_does_not(tmp_path):
    export(tmp_path / "1", factor=2)
    body = {"signature_name": "scale", "inputs": {"number": [[1]], "offset": [0]}}
    with serving(tmp_path) as (_, _, port):
        url = f"http://127.0.0.1:{port}/v1/models/toy"

        def product():
            return post(url, body).json()["outputs"]["product"][0][0]

        assert product() == 2
        export(tmp_path / "scratch", factor=3)
        (tmp_path / "scratch").rename(tmp_path / "2")
        wait_for(lambda: product() == 3)
        (tmp_path / "3").mkdir()
        (tmp_path / "3" / "saved_model.pb").write_bytes(b"not a graph")
        wait_for(lambda: len(requests.get(url).json()["model_version_status"]) == 3)
        wait_for(lambda: requests.get(url).json()["model_version_status"][0]["state"] == "END")
        broken, current, _ = requests.get(url).json()["model_version_status"]
        assert (broken["version"], broken["status"]["error_code"]) == ("3", "UNKNOWN")
        assert (current["version"], current["state"]) == ("2", "AVAILABLE")
        assert product() == 3


def test_a_version_answers_its_warm_up_requests_before_it_serves(tmp_path):
    def warm_up(version, user):
        other = prediction_log_pb2.PredictionLog()  # Of a method that is not warmed up.
        other.classify_log.request.model_spec.name = "toy"
        log = prediction_log_pb2.PredictionLog()
        log.predict_log.request.model_spec.signature_name = "fail"
        log.predict_log.request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(user, tf.string))
        path = tmp_path / version / "assets.extra" / "tf_serving_warmup_requests"
        path.parent.mkdir()
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(other.SerializeToString())
            writer.write(log.SerializeToString())

    for version, user in (("1", []), ("2", ["one that fails"])):
        export(tmp_path / version)
        warm_up(version, user)
    with serving(tmp_path) as (_, _, port):
        url = f"http://127.0.0.1:{port}/v1/models/toy"
        failed, served = requests.get(url).json()["model_version_status"]
        assert (failed["version"], failed["state"]) == ("2", "END")
        assert "never mind" in failed["status"]["error_message"]
        assert (served["version"], served["state"]) == ("1", "AVAILABLE")


def test_the_server_waits_for_a_first_version_and_stops_when_told(tmp_path):
    with serving(tmp_path) as (process, _, port):
        url = f"http://127.0.0.1:{port}/v1/models/toy"
        assert post(url, {"instances": ["1"]}).status_code == 404
        export(tmp_path / "scratch")
        (tmp_path / "scratch").rename(tmp_path / "1")
        wait_for(lambda: post(url, {"instances": ["1"]}).status_code == 200)
        process.terminate()
        assert process.wait(timeout=20) == 0


def test_labels_are_part_of_the_path(tmp_path):
    for version in (1, 2):
        export(tmp_path / "models" / str(version), factor=version)
    config = tmp_path / "models.config"
    config.write_text(
        'model_config_list { config { name: "toy" base_path: "%s" model_platform: "tensorflow" '
        'model_version_policy { all {} } version_labels { key: "stable" value: 1 } } }' % (tmp_path / "models")
    )
    with serving(tmp_path, "--model_config_file", config, "--model_config_file_poll_wait_seconds=0.1") as (*_, port):
        url = f"http://127.0.0.1:{port}/v1/models/toy"
        body = {"signature_name": "scale", "inputs": {"number": [[1]], "offset": [0]}}

        def product(target):
            return post(url + target, body).json()["outputs"]["product"][0][0]

        assert [product(target) for target in ("/labels/stable", "/versions/1", "/versions/2", "")] == [1, 1, 2, 2]
        assert requests.get(f"{url}/labels/stable").json()["model_version_status"][0]["version"] == "1"
        answer = post(f"{url}/labels/no", body)
        assert (answer.status_code, answer.json()) == (400, {"error": "Unrecognized servable version label: no"})
        config.write_text(config.read_text().replace("value: 1", "value: 2"))
        wait_for(lambda: product("/labels/stable") == 2)


def test_metrics_count_requests_under_the_names_of_tensorflow_serving(server):
    def counted():
        lines = requests.get(f"http://{server[2].split('/')[2]}/monitoring/prometheus/metrics").text.splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def grown(key):
        return after[key] - before.get(key, 0)

    before = counted()
    post(server[2], {"instances": ["42"]})
    post(server[2], {"instances": [1]})
    post(server[2].replace("toy", "made-up"), {"instances": ["1"]})
    requests.post(server[2].replace("toy", "made-up-too") + ":predict", data="x")
    after = counted()
    assert not [key for key in after if "made-up" in key], "clients cannot make up labels without end"
    assert grown(':tensorflow:serving:request_count{model_name="toy",status="OK"}') == 1
    assert grown(':tensorflow:serving:request_count{model_name="toy",status="INVALID_ARGUMENT"}') == 1
    assert grown(':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"}') == 1
    latency = ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="REST",model_name="toy"}'
    assert grown(latency) == 2
    assert grown(":tensorflow:serving:batching:processed_batch_size_sum") == 1


def test_configuration_files_of_tensorflow_serving_are_read(tmp_path):
    export(tmp_path / "1")
    (tmp_path / "batching").write_text("max_batch_size { value: 2 } max_enqueued_batches { value: 2 }")
    (tmp_path / "monitoring").write_text('prometheus_config { enable: true path: "/metrics" }')
    files = ["--batching_parameters_file", tmp_path / "batching", "--monitoring_config_file", tmp_path / "monitoring"]
    with serving(tmp_path, "--enable_batching=true", "--rest_api_timeout_in_ms=300", *files) as (*_, port):
        url = f"http://127.0.0.1:{port}/v1/models/toy"
        answer = post(url, {"signature_name": "count", "instances": ["a", "b", "c"]})
        assert answer.json()["predictions"] == [2, 2, 1]
        answer = post(url, {"instances": ["a"] * 5})
        assert (answer.status_code, "A request of 5 rows is larger" in answer.json()["error"]) == (400, True)
        assert requests.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        answer = post(url, {"signature_name": "work", "instances": [2000]})
        assert (answer.status_code, answer.json()) == (504, {"error": "No answer within 0.3 s"})
