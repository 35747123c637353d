"""InteractionGen's Beam job in other processes than this one gives the same examples."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from pipeline.beam_workers import pool
from pipeline.config import Generated
from pipeline.generated import write_generated
from tests.components.test_example_gens import generate


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data") / "tables"
    write_generated(Generated(users=50, movies=60, interactions=1000), str(directory))
    return directory


def copied(tables, directory):
    return Path(shutil.copytree(tables, directory, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def in_memory(tables, tmp_path_factory):
    return generate(copied(tables, tmp_path_factory.mktemp("in_memory")))


@pytest.fixture
def portable(tmp_path, monkeypatch):
    """Arguments for a job service in a process of its own, and a pool that starts workers, as Flink and Spark have."""
    port_file = tmp_path / "port"
    module = "apache_beam.runners.portability.local_job_service_main"
    command = [sys.executable, "-m", module, "-p", "0", "--port_file", port_file, "--staging_dir", tmp_path / "staging"]
    service = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # The pool starts `python`.
    pool_address, pool = BeamFnExternalWorkerPoolServicer.start(use_process=True)
    while not port_file.exists():
        assert service.poll() is None, "the job service did not start"
        time.sleep(0.1)
    yield [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{port_file.read_text()}",
        "--environment_type=EXTERNAL",
        f"--environment_config={pool_address}",
        "--job_server_timeout=120",
    ]
    service.terminate()
    service.wait()
    pool.stop(0)


def test_two_processes(tables, in_memory, tmp_path):
    with pool(workers=2) as beam_args:
        assert generate(copied(tables, tmp_path), beam_args) == in_memory


def test_a_job_service_with_workers_of_its_own(tables, in_memory, portable, tmp_path):
    assert generate(copied(tables, tmp_path / "data"), portable) == in_memory
