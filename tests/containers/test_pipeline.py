"""The compiled pipeline, each step in the steps' container, to a model that the server's container answers from."""

import fsspec
import pytest

from kubeflow.compile import Locations, compile_pipeline, to_yaml
from pipeline.config import load_config
from pipeline.data.generator import write_generated
from serving.client import Recommender
from tests.containers.engine import CONFINED, free_port, image, running, store_options
from tests.containers.steps import StepContainers
from tests.e2e.test_kubeflow import ENVIRONMENT, EPOCHS, NO_QUALITY, SIZE, SMALL, Stuck
from tests.kubeflow.backend import Backend
from tests.serving.conftest import wait_for


@pytest.fixture(scope="module")
def started(store, tmp_path_factory):
    """A run that has not run any step."""
    data = tmp_path_factory.mktemp("data") / "tables"
    write_generated(load_config("demo", [SIZE]).data.generated, str(data))
    fsspec.filesystem("s3").put(f"{data}/", f"{store}/data/10/", recursive=True)
    compiled = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    config = load_config("movielens-csv", SMALL + ENVIRONMENT)
    compiled.write_text(to_yaml(compile_pipeline(config, Locations())))
    return Backend(
        compiled,
        f"{store}/runs/1",
        tmp_path_factory.mktemp("pods"),
        containers=StepContainers(),
        data=f"{store}/data/{{span}}",
        push_destination=f"{store}/models/recommender",
        thresholds=NO_QUALITY,
        **EPOCHS,
    )


@pytest.fixture(scope="module")
def left_by_killed(started, store):
    """What a first try of InteractionGen left whose container was killed between two files."""
    outputs = f"{store}/runs/1/InteractionGen/".removeprefix("s3:/")
    stuck = Stuck(outputs)
    with stuck.serving() as address, pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", address)
        output_file = started.delete("InteractionGen", when=stuck.reached)
    return fsspec.filesystem("s3", use_listings_cache=False).find(outputs.lstrip("/")), output_file.exists()


@pytest.fixture(scope="module")
def finished(started, left_by_killed):
    """A run of all steps, of which the first was killed half-way and run again."""
    started.run()
    print("seconds by step:", started.seconds)
    return started


def test_a_killed_container_is_not_finished_and_the_next_attempt_clears_what_it_left(left_by_killed, finished, store):
    (left,), has_output_file = left_by_killed
    assert not has_output_file, "KFP would take the step for finished"
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    assert not s3.exists(left)
    names = [path.rpartition("/")[2] for path in s3.find(f"{store}/runs/1/InteractionGen/examples")]
    assert sorted(names) == sorted(2 * [f"data_tfrecord-{shard:05d}-of-00008.gz" for shard in range(8)])


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
