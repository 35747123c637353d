"""Options of `serve` as TensorFlow Serving has them, on real processes."""

import socket
import subprocess
import sys

import grpc
import pytest
import requests
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from serving.serve_flags import IGNORED
from tests.serving.conftest import LONG_SECONDS, ROOT, export, serving


@pytest.fixture(scope="module")
def base_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("flags")
    export(path / "1")
    return path


def serve(*arguments):
    command = [sys.executable, "-m", "serving", "serve", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=LONG_SECONDS)


def test_zero_means_off_once_and_no_limit(base_path):
    options = ["--rest_api_timeout_in_ms=0", "--file_system_poll_wait_seconds=0"]
    with serving(base_path, *options) as server:
        answer = requests.post(f"{server.url()}:predict", json={"instances": ["1"]})
        assert answer.json() == {"predictions": ["hello 1"]}


@pytest.mark.parametrize("off", ["--port=0", "--rest_api_port=0"])
def test_a_port_of_zero_is_off(base_path, off):
    other = "--rest_api_port" if off == "--port=0" else "--port"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(base_path, off, ports=f"{other}={port}") as server:
        if server.rest_port:
            assert requests.get(server.url()).ok and not server.grpc_port
        else:
            request = get_model_status_pb2.GetModelStatusRequest()
            request.model_spec.name = "toy"
            with server.channel() as channel:
                stub = model_service_pb2_grpc.ModelServiceStub(channel)
                assert stub.GetModelStatus(request, timeout=LONG_SECONDS).model_version_status[0].version == 1


def test_a_negative_time_between_looks_never_looks(base_path):
    with serving(base_path, "--file_system_poll_wait_seconds=-1") as server:
        assert requests.get(server.url()).json() == {"error": "Could not find any versions of model toy"}


def test_what_has_no_meaning_here_is_taken_with_a_line_of_log(base_path, tmp_path):
    options = [f"--{name}=1" for name in IGNORED]
    with open(tmp_path / "log", "w") as log, serving(base_path, *options, log=log) as server:
        assert requests.get(server.url()).ok
    said = (tmp_path / "log").read_text()
    assert [name for name in IGNORED if said.count(f"--{name} is ignored: ") != 1] == []


def test_what_has_a_meaning_is_used(base_path):
    options = ["--rest_api_enable_cors_support", "--tensorflow_session_parallelism=1", "--grpc_max_threads=1"]
    options += ["--enable_model_warmup=false", "--num_load_threads=2", "--rest_api_num_threads=1"]
    with serving(base_path, *options, "--enable_grpc_healthcheck_service=false") as server:
        answer = requests.options(f"{server.url()}:predict")
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
        answer = requests.post(f"{server.url()}:predict", json={"instances": ["1"]})
        assert answer.headers["Access-Control-Allow-Methods"] == "POST, GET"
        with server.channel() as channel, pytest.raises(grpc.RpcError) as error:
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=LONG_SECONDS)
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_version_is_said():
    assert serve("--version").stdout.startswith("TensorFlow ModelServer: 2.16.1\nTensorFlow Library: 2.16")


def test_a_graph_of_other_tags_is_not_served(base_path):
    with serving(base_path, "--saved_model_tags=serve,tpu") as server:
        (status,) = requests.get(server.url()).json()["model_version_status"]
    assert status["state"] == "END" and "tags" in status["status"]["error_message"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--use_alts_credentials"], "there is no ALTS here; use --ssl_config_file"),
        (["--port=0", "--rest_api_port=0"], "nothing to listen on: --port and --rest_api_port are both 0"),
        (
            ["--tensorflow_session_parallelism=1", "--tensorflow_intra_op_parallelism=1"],
            "Give either --tensorflow_sess",
        ),
        (["--enable_batching=false", "--batching_parameters_file=x"], "without setting --enable_batching to true"),
    ],
)
def test_what_cannot_be_is_refused(base_path, options, message):
    done = serve("--model-dir", base_path, *options)
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr
