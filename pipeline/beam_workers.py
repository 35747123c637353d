"""Beam's in-process runner with its workers in other processes of this machine, which start at once."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer
from apache_beam.transforms.environments import ExternalEnvironment
from google.protobuf import text_format

from pipeline import processes

_OPTIONS, _JOB = "options", "job"  # Parameters that the runner gives the pool.
# Environment variable with the pool's address, for all processes that this one starts. As an argument of Beam's it
# would be another one for every run, and TFX reuses what was made with the same arguments only.
ADDRESS = "RECOMMENDER_WORKER_POOL"


class PoolRunner(FnApiRunner):
    """Runs each stage on `--direct_num_workers` workers of the pool that is there."""

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> PipelineResult:
        """As the base class."""
        parameters = {
            _OPTIONS: json.dumps(options.get_all_options(drop_default=True)),
            _JOB: multiprocessing.current_process().name,
        }
        self._default_environment = ExternalEnvironment(os.environ[ADDRESS], parameters)
        return super().run_pipeline(pipeline, options)


@contextlib.contextmanager
def pool(workers: int) -> Iterator[list[str]]:
    """A pool for as long as this is entered; yields Beam's arguments to run a job on `workers` of it."""
    address, server = _Pool.start()
    os.environ[ADDRESS] = address
    try:
        yield [
            f"--runner={PoolRunner.__module__}.{PoolRunner.__name__}",
            f"--direct_num_workers={workers}",
            "--sdk_container_image=none",
        ]
    finally:
        del os.environ[ADDRESS]
        server.stop(None)


class _Pool(BeamFnExternalWorkerPoolServicer):
    """Beam's worker pool, with forked processes; a worker ends with its job."""

    def StartWorker(self, start_worker_request, unused_context):
        request = start_worker_request
        environment = {
            "WORKER_ID": request.worker_id,
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(request.control_endpoint),
            "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(request.logging_endpoint),
            "PIPELINE_OPTIONS": request.params[_OPTIONS] or "{}",  # Other runners give none.
        }
        processes.start(request.params[_JOB] or request.worker_id, _work, environment)
        return beam_fn_api_pb2.StartWorkerResponse()


def _work(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    sdk_worker_main.main([])
