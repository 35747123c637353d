"""The server's image, confined as a careful cluster confines it, and what such a container goes through."""

import contextlib
import json
import os
import shutil
import subprocess
from concurrent import futures

import pytest
import requests

from serving import archives
from serving.client import Recommender
from tests.containers.engine import CONFINED, call, free_port, image, run_command, running, store_options
from tests.serving.conftest import LONG_SECONDS, Gate, Server, export, export_shelf, wait_for
from tests.serving.test_faults import _BODY, Clients, refuses


@contextlib.contextmanager
def served(models, *arguments, name="toy", options=()):
    """A container that serves `models/NAME`; yields once it listens."""
    ports = free_port(), free_port()
    published = [f"--publish=127.0.0.1:{outside}:{inside}" for outside, inside in zip(ports, (8500, 8501), strict=True)]
    given = (*CONFINED, *published, f"--env=MODEL_NAME={name}", f"--volume={models}:/models:ro", *options)
    with running(image("server"), *arguments, options=given) as container:
        container.wait_for_log("REST on")
        yield Server(container, *ports)


def answers(server):
    """Whether its first version answers."""
    answer = requests.post(f"{server.url()}:predict", json=_BODY, timeout=LONG_SECONDS)
    return answer.ok and answer.json()["outputs"]["product"][0] == [2.0]


@pytest.fixture
def models(tmp_path):
    """A directory of models, of which `toy` has one version."""
    export(tmp_path / "models" / "toy" / "1")
    return tmp_path / "models"


@pytest.mark.parametrize("user", [None, "1000:1000", "31337:31337"])
def test_it_answers_over_both_protocols_as_whichever_user_on_a_root_that_cannot_be_written(tmp_path, user):
    export_shelf(tmp_path / "models" / "recommender" / "1")
    with served(tmp_path / "models", name="recommender", options=[f"--user={user}"] if user else []) as server:
        assert server.process.execute("sh", "-c", 'test "$(id -u)" != 0 && ! touch /x /tmp/x /models/x') == 0
        for address in (f"http://127.0.0.1:{server.rest_port}", f"127.0.0.1:{server.grpc_port}"):
            with Recommender(address) as client:
                found = client.recommend("ann", history=["3"])
            assert [item.item_id for item in found] == ["1", "2"], address


def test_it_is_healthy_once_the_model_is_there(tmp_path):
    models = tmp_path / "models" / "toy"
    models.mkdir(parents=True)
    with served(tmp_path / "models") as server:
        found = call("inspect", "--format={{json .Config.Healthcheck.Test}}", server.process.name)
        form, *check = json.loads(found.stdout)
        assert form == "CMD"
        assert server.process.execute(*check) == 1
        export(tmp_path / "exported")
        (tmp_path / "exported").rename(models / "1")
        wait_for(lambda: server.process.execute(*check) == 0)


def test_a_killed_process_is_started_again_and_answers(models):
    with served(models, options=["--restart=always"]) as server:
        wait_for(lambda: answers(server))
        first = server.process.state["Pid"]
        server.process.kill_process()
        wait_for(lambda: server.process.state["Pid"] not in (0, first))
        wait_for(lambda: answers(server))


def test_sigterm_under_load_answers_all_that_was_accepted(models, tmp_path):
    os.chmod(tmp_path, 0o777)
    volume = f"--volume={tmp_path}:{tmp_path}"
    with (
        served(models, options=[volume]) as server,
        futures.ThreadPoolExecutor() as pool,
        Clients(16, server, refused_ends=True) as clients,
        Gate(tmp_path) as gate,
    ):
        os.chmod(gate.path, 0o666)
        wait_for(lambda: all(clients.answers))
        body = {"signature_name": "hold", "instances": [gate.path]}
        accepted = pool.submit(requests.post, f"{server.url()}:predict", json=body)
        gate.wait_until_reached()
        call("kill", "--signal=TERM", server.process.name)
        wait_for(lambda: refuses(server))
        gate.open()
        assert accepted.result().json() == {"predictions": [gate.path]}
        clients.join()
        wait_for(lambda: server.process.state["Status"] == "exited")
        assert server.process.state["ExitCode"] == 0
        assert clients.errors == []


def test_it_answers_without_its_volume_and_a_new_process_waits_until_that_is_back(models):
    options = ["--restart=always"]
    with served(models, "--file_system_poll_wait_seconds=0.01", options=options) as server:
        wait_for(lambda: answers(server))
        (models / "toy").rename(models / "away")
        assert all(answers(server) for _ in range(200))
        server.process.kill_process()
        server.process.wait_for_log("/models/toy: no such directory")
        (models / "away").rename(models / "toy")
        wait_for(lambda: answers(server))


def test_a_full_disk_under_the_log_of_requests_costs_no_answer(models):
    (models / "models.config").write_text(
        """model_config_list { config { name: "toy" base_path: "/models/toy" logging_config {
        log_collector_config { type: "tfrecord" filename_prefix: "/log/requests" }
        sampling_config { sampling_rate: 1.0 } } } }"""
    )
    options = ["--tmpfs=/log:size=16k,mode=1777"]
    with served(models, "--model_config_file=/models/models.config", options=options) as server:
        wait_for(lambda: answers(server))
        for _ in range(500):
            assert answers(server)
        wait_for(lambda: server.process.execute("sh", "-c", "echo > /log/probe") != 0)
        assert answers(server)


def test_a_mirror_whose_disk_is_full_says_so_keeps_what_is_served_and_goes_on_when_there_is_room(models, store):
    source = f"{store}/full"
    small, large = str(models / "toy" / "1"), models / "large"
    shutil.copytree(small, large)
    (large / "ballast").write_bytes(os.urandom(8 << 20))
    archives.upload(small, source, 1)
    options = [*store_options(), "--tmpfs=/models:size=6m,mode=1777", "--entrypoint=python", *CONFINED]
    command = ["-m", "serving.sync", source, "/models/toy", "--seconds=0.2"]
    with running(image("server"), *command, options=options) as mirror:
        mirror.wait_for_log("version 1 has arrived")
        archives.upload(str(large), source, 2)
        mirror.wait_for_log("No space left on device")
        assert mirror.execute("sh", "-c", "test -d /models/toy/1 && ! test -e /models/toy/2") == 0
        archives.remove(source, 2)
        archives.upload(small, source, 3)
        mirror.wait_for_log("version 3 has arrived")


def test_without_a_model_directory_it_ends_with_one_line():
    done = subprocess.run(run_command(image("server"), options=CONFINED), text=True, capture_output=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: /models/recommender: no such directory")
