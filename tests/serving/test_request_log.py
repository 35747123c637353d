"""Requests that are kept, as TensorFlow Serving's `logging_config` says, and the page of what is served."""

import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from pipeline.skew import read_requests
from tests.serving.conftest import LONG_SECONDS, export, export_of_examples, serving

CONFIG = """
model_config_list {
  config {
    name: "toy" base_path: "DIR/toy" version_labels { key: "stable" value: 1 }
    logging_config {
      log_collector_config { type: "tfrecord" filename_prefix: "DIR/log" }
      sampling_config { sampling_rate: 1.0 }
    }
  }
  config {
    name: "examples" base_path: "DIR/examples"
    logging_config {
      log_collector_config { filename_prefix: "DIR/other" } sampling_config { sampling_rate: 1.0 }
    }
  }
  config {
    name: "<unsampled>" base_path: "DIR/toy"
    logging_config {
      log_collector_config { filename_prefix: "DIR/nothing" } sampling_config { sampling_rate: 0.0 }
    }
  }
}
"""


@pytest.fixture
def directory(tmp_path):
    export(tmp_path / "toy" / "1")
    export_of_examples(tmp_path / "examples" / "1")
    (tmp_path / "config").write_text(CONFIG.replace("DIR", str(tmp_path)))
    return tmp_path


def records(directory, prefix):
    (path,) = directory.glob(f"{prefix}-*.tfrecord")
    found = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    return path, [prediction_log_pb2.PredictionLog.FromString(record) for record in found]


def test_sampled_requests_of_both_protocols_are_kept_as_the_skew_check_reads_them(directory):
    with serving(directory, "--model_config_file", directory / "config") as server, server.channel() as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert requests.post(f"{server.url()}:predict", json={"instances": ["1", "2"]}).ok
        assert requests.post(f"{server.url('%3Cunsampled%3E')}:predict", json={"instances": ["9"]}).ok
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "toy"
        request.inputs["user_id"].CopyFrom(tf.make_tensor_proto(["3"]))
        stub.Predict(request, timeout=LONG_SECONDS)
        classify = classification_pb2.ClassificationRequest()
        classify.model_spec.name = "examples"
        classify.input.example_list.examples.add().features.feature["x"].float_list.value.append(0.5)
        stub.Classify(classify, timeout=LONG_SECONDS)
        with pytest.raises(grpc.RpcError):
            stub.Predict(predict_pb2.PredictRequest(model_spec={"name": "toy"}), timeout=LONG_SECONDS)
    path, (over_rest, over_grpc) = records(directory, "log")
    assert list(read_requests(str(path))) == [{"user_id": user} for user in (b"1", b"2", b"3")]
    assert list(read_requests(str(directory / "log-*"))) == [{"user_id": user} for user in (b"1", b"2", b"3")]
    for log, greetings in ((over_rest, [b"hello 1", b"hello 2"]), (over_grpc, [b"hello 3"])):
        assert list(log.predict_log.response.outputs["greeting"].string_val) == greetings
        spec = log.log_metadata.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == ("toy", 1, "serving_default")
        assert log.log_metadata.sampling_config.sampling_rate == 1.0 and log.log_metadata.timestamp_secs
    _, (classified,) = records(directory, "other")
    assert classified.classify_log.request == classify
    assert not list(directory.glob("nothing-*"))


def test_a_logging_config_without_a_place_is_refused(directory):
    with serving(directory / "toy") as server, server.channel() as channel:
        request = model_management_pb2.ReloadConfigRequest()
        model = request.config.model_config_list.config.add(name="toy", base_path=str(directory / "toy"))
        model.logging_config.sampling_config.sampling_rate = 1.0
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        status = stub.HandleReloadConfigRequest(request, timeout=LONG_SECONDS).status
        assert status.error_code == 3 and "filename_prefix" in status.error_message


def test_a_page_says_what_is_served(directory):
    with serving(directory, "--model_config_file", directory / "config") as server:
        root = f"http://127.0.0.1:{server.rest_port}"
        answer = requests.get(root)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<td>toy</td><td>1</td><td>stable</td><td>AVAILABLE</td>" in answer.text
        assert "<td>&lt;unsampled&gt;</td>" in answer.text and "<unsampled>" not in answer.text
        links = [part.split('"')[0] for part in answer.text.split('href="')[1:]]
        assert "/monitoring/prometheus/metrics" in links and "/v1/models/toy/versions/1/metadata" in links
        assert all(requests.get(root + link).ok for link in links)
