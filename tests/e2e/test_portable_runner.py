"""Every Beam job of the pipeline on a job service in its own process, with workers in others, as Flink has them."""

import contextlib
import os
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from rich.console import Console

from components.beam_args import NOT_PACKED
from pipeline.config import load_config
from pipeline.local import beam_workers, runner
from pipeline.outputs import latest_artifact_uri

SMALL = [
    "data.generated={users: 100, items: 150, interactions: 3000}",
    "retrieval.epochs=1",
    "ranking.epochs=1",
    "evaluation.thresholds.better_than_popularity.at_least=50",  # So that no server is started.
]


@pytest.fixture
def in_one_process(tmp_path):
    """The output directory of a run, and its report."""
    output = tmp_path / "one"
    return output, runner.run(load_config("demo", SMALL), str(output), Console(quiet=True), beam_workers=1)


@pytest.fixture
def on_job_service(tmp_path):
    """Beam's arguments."""
    port_file = tmp_path / "port"
    module = "apache_beam.runners.portability.local_job_service_main"
    command = [sys.executable, "-m", module, "-p", "0", "--port_file", port_file, "--staging_dir", tmp_path / "staging"]
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        stack.callback(service.terminate)
        while not port_file.exists():
            assert service.poll() is None, "the job service did not start"
            time.sleep(0.01)
        stack.enter_context(beam_workers.pool(workers=1))
        yield [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{port_file.read_text()}",
            "--environment_type=EXTERNAL",
            f"--environment_config={os.environ[beam_workers.ADDRESS]}",
            "--job_server_timeout=1200",
            NOT_PACKED,
        ]


def examples(output, component, key):
    """All that a component wrote, split by split; how an example's features are ordered as bytes does not matter."""
    uri = latest_artifact_uri(str(output), component, key)
    found = {}
    for split in ("train", "eval"):
        records = tf.data.TFRecordDataset(tf.io.gfile.glob(f"{uri}/Split-{split}/*"), "GZIP").as_numpy_iterator()
        found[split] = sorted(map(tf.train.Example.FromString, records), key=str)
    return found


def test_the_result_is_that_of_one_process(in_one_process, on_job_service, tmp_path):
    (one, expected), other = in_one_process, tmp_path / "other"
    found = runner.run(load_config("demo", SMALL), str(other), Console(quiet=True), beam_args=on_job_service)
    for written in (("InteractionGen", "examples"), ("Transform", "transformed_examples")):
        assert examples(other, *written) == examples(one, *written), written
    statistics, expected_statistics = found["data"]["features"], expected["data"]["features"]
    assert statistics.keys() == expected_statistics.keys()
    for name, values in statistics.items():  # TFDV's batches, and so its sums, depend on how busy the machine is.
        assert values == pytest.approx(expected_statistics[name]), name
    for section in found["data"].keys() - {"features"}:
        assert found["data"][section] == expected["data"][section], section
    for section in ("retrieval", "ranking", "two_stage", "recommended", "baselines"):
        assert found["metrics"][section] == expected["metrics"][section], section
