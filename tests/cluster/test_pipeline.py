"""The compiled pipeline, each step as a pod, of which a Trainer's is killed half-way."""

import fsspec
import pytest

from kubeflow.compile import Locations, compile_pipeline, to_yaml
from pipeline.config import load_config
from pipeline.data.generator import write_generated
from serving import archives
from tests.cluster.conftest import BUCKET
from tests.cluster.steps import StepPods
from tests.e2e.test_kubeflow import ENVIRONMENT, EPOCHS, NO_QUALITY, SIZE, SMALL, Stuck
from tests.kubeflow.backend import Backend

PUSHED = f"s3://{BUCKET}/pushed/recommender"


@pytest.fixture(scope="module")
def run(applied, tmp_path_factory):
    """A run that has not run any step."""
    data = tmp_path_factory.mktemp("data") / "tables"
    write_generated(load_config("demo", [SIZE]).data.generated, str(data))
    fsspec.filesystem("s3").put(f"{data}/", f"s3://{BUCKET}/data/10/", recursive=True)
    compiled = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compiled.write_text(to_yaml(compile_pipeline(load_config("movielens-csv", SMALL + ENVIRONMENT), Locations())))
    return Backend(
        compiled,
        f"s3://{BUCKET}/runs/1",
        tmp_path_factory.mktemp("pods"),
        containers=StepPods(),
        data=f"s3://{BUCKET}/data/{{span}}",
        push_destination=PUSHED,
        thresholds=NO_QUALITY,
        **EPOCHS,
    )


def test_every_step_runs_as_a_pod_and_a_killed_trainers_next_attempt_succeeds(run, store):
    outputs = f"/{BUCKET}/runs/1/Trainer-retrieval/"
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    run.run(until="Trainer-retrieval")
    stuck = Stuck(outputs)
    with stuck.serving("0.0.0.0") as address:
        store.appear(int(address.rpartition(":")[2]))
        output_file = run.kill("Trainer-retrieval", when=stuck.reached)
        store.appear()
    (left,) = s3.find(outputs)
    assert not output_file.exists()
    run.run()
    assert not s3.exists(left)
    assert run.outputs["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    assert len(archives.versions(PUSHED)) == 1
    print("seconds by step:", run.seconds)
