"""Options of the server, and the files of TensorFlow Serving that they name."""

import dataclasses

import pytest

from serving.errors import ServingError
from serving.server.batching import BatchingParameters
from serving.server.options import ServerOptions
from tests.serving.conftest import ROOT


def options(tmp_path, **values):
    """Options whose files are given by their content."""
    for name, value in values.items():
        if name.endswith("_file") and value is not None:
            (tmp_path / name).write_text(value)
            values[name] = str(tmp_path / name)
    return ServerOptions(**{"model_base_path": str(tmp_path)} | values)


def test_one_model_is_served_from_its_base_path(tmp_path):
    (model,) = options(tmp_path, model_name="a").models().model_config_list.config
    assert (model.name, model.base_path, model.model_platform) == ("a", str(tmp_path), "tensorflow")


def test_batching_parameters(tmp_path):
    text = "max_batch_size { value: 8 } num_batch_threads { value: 3 } allowed_batch_sizes: 2 allowed_batch_sizes: 8"
    found = options(tmp_path, batching_parameters_file=text).batching()
    assert dataclasses.asdict(found) == dataclasses.asdict(BatchingParameters()) | {
        "max_batch_size": 8,
        "num_batch_threads": 3,
        "allowed_batch_sizes": (2, 8),
    }


def test_large_batches_that_are_split_have_the_size_of_their_pieces(tmp_path):
    text = "max_batch_size { value: 64 } max_execution_batch_size { value: 8 } allowed_batch_sizes: 8 "
    given = options(tmp_path, batching_parameters_file=text + "enable_large_batch_splitting { value: true }")
    assert given.batching().max_batch_size == 8


def test_monitoring(tmp_path):
    assert options(tmp_path).metrics_path() == "/monitoring/prometheus/metrics"
    given = options(tmp_path, monitoring_config_file='prometheus_config { enable: true path: "/m" }')
    assert given.metrics_path() == "/m"
    assert options(tmp_path, monitoring_config_file="prometheus_config {}").metrics_path() is None


def test_channel_arguments(tmp_path):
    given = options(tmp_path, grpc_channel_arguments="grpc.max_concurrent_streams=7,grpc.primary_user_agent=me")
    assert given.channel_arguments() == {"grpc.max_concurrent_streams": 7, "grpc.primary_user_agent": "me"}


def test_the_files_for_the_image_are_read_here_too():
    config = ROOT / "serving" / "config"
    given = ServerOptions(
        "",
        model_config_file=str(config / "models.config"),
        batching_parameters_file=str(config / "batching.config"),
        monitoring_config_file=str(config / "monitoring.config"),
    )
    (model,) = given.models().model_config_list.config
    assert (model.name, model.base_path) == ("recommender", "/models/recommender")
    assert given.batching().max_batch_size == 256
    assert given.metrics_path() == "/monitoring/prometheus/metrics"


@pytest.mark.parametrize(
    ("values", "ask", "message"),
    [
        (
            {"batching_parameters_file": "max_batch_sise { value: 2 }"},
            "batching",
            "Error parsing text-format tensorflow.serving.BatchingParameters",
        ),
        ({"batching_parameters_file": "max_batch_size { value: 0 }"}, "batching", "max_batch_size 0 is too small"),
        ({"batching_parameters_file": "allowed_batch_sizes: 8"}, "batching", "end with max_batch_size, .*: 128"),
        ({"model_config_file": "\0"}, "models", "Error parsing text-format tensorflow.serving.ModelServerConfig"),
        ({"model_base_path": "nowhere"}, "models", "nowhere: no such directory. Run the pipeline first"),
        ({"grpc_channel_arguments": "a=1,b"}, "channel_arguments", "'b': expected key=value"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, values, ask, message):
    with pytest.raises(ServingError, match=message):
        getattr(options(tmp_path, **values), ask)()


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ServingError, match="nowhere: No such file or directory"):
        ServerOptions("", model_config_file="nowhere").models()
