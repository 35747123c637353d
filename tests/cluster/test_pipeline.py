"""The compiled pipeline, each step as a pod, of which a Trainer's is killed half-way."""

import fsspec
import pytest

from serving import archives
from tests.cluster.conftest import BUCKET
from tests.cluster.steps import StepPods
from tests.kubeflow.small_run import Stuck, in_containers

PUSHED = f"s3://{BUCKET}/pushed/recommender"


@pytest.fixture(scope="module")
def run(applied, tmp_path_factory):
    """A run that has not run any step."""
    return in_containers(f"s3://{BUCKET}", tmp_path_factory.mktemp("run"), StepPods(), PUSHED)


def test_every_step_runs_as_a_pod_and_a_killed_trainers_next_attempt_succeeds(run, store, figures):
    outputs = f"/{BUCKET}/runs/1/Trainer-retrieval/"
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    run.run(until="Trainer-retrieval")
    stuck = Stuck(outputs)
    with stuck.serving("0.0.0.0") as address:
        store.appear(int(address.rpartition(":")[2]))
        output_file = run.delete("Trainer-retrieval", when=stuck.reached)
        store.appear()
    (left,) = s3.find(outputs)
    assert not output_file.exists()
    run.run()
    assert not s3.exists(left)
    assert run.outputs["Pusher"]["pushed_model"]["metadata"]["pushed"] == 1
    assert len(archives.versions(PUSHED)) == 1
    figures["seconds by step, in pods"] = run.seconds
