"""The compiled pipeline, each step in the steps' container, to a model that the server's container answers from."""

import pytest

from serving.client import Recommender
from tests.containers.engine import CONFINED, free_port, image, running, store_options
from tests.containers.steps import StepContainers
from tests.kubeflow import small_run
from tests.serving.conftest import wait_for


@pytest.fixture(scope="module")
def started(store, tmp_path_factory):
    """A run that has not run any step."""
    directory = tmp_path_factory.mktemp("started")
    return small_run.in_containers(store, directory, StepContainers(), f"{store}/models/recommender")


@pytest.fixture(scope="module")
def left_by_killed(started, store):
    return small_run.left_by_killed(started, store)


@pytest.fixture(scope="module")
def finished(started, left_by_killed, figures):
    """A run of all steps, of which the first was killed half-way and run again."""
    started.run()
    figures["seconds by step, in containers"] = started.seconds
    return started


def test_a_killed_container_is_not_finished_and_the_next_attempt_clears_what_it_left(left_by_killed, finished, store):
    small_run.check_cleared(left_by_killed, store)


def test_the_pushed_model_answers_over_both_protocols_in_the_servers_container_beside_its_mirror(
    finished, store, tmp_path
):
    assert finished.outputs["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    (tmp_path / "models" / "recommender").mkdir(parents=True)
    for path in (tmp_path / "models", tmp_path / "models" / "recommender"):
        path.chmod(0o777)
    volume, ports = f"--volume={tmp_path / 'models'}:/models", (free_port(), free_port())
    published = [f"--publish=127.0.0.1:{ports[0]}:8500", f"--publish=127.0.0.1:{ports[1]}:8501"]
    sync = ["-m", "serving.sync", f"{store}/models/recommender", "/models/recommender", "--seconds=0.5"]
    with (
        running(image("server"), options=[*CONFINED, f"{volume}:ro", *published]) as server,
        running(image("server"), *sync, options=[*CONFINED, volume, *store_options(), "--entrypoint=python"]),
    ):
        wait_for(lambda: server.execute("python", "-m", "serving.ready") == 0)
        for address in (f"http://127.0.0.1:{ports[1]}", f"127.0.0.1:{ports[0]}"):
            with Recommender(address) as client:
                assert len(client.recommend("1")) == 10, address
