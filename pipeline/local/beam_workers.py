"""Beam's in-process runner with its workers in other processes of this machine, which start at once."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent import futures

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc, beam_runner_api_pb2
from apache_beam.portability.common_urns import environments as urns
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import ExternalWorkerHandler, WorkerHandler
from apache_beam.runners.runner import PipelineResult
from apache_beam.runners.worker import sdk_worker_main
from apache_beam.transforms.environments import ExternalEnvironment
from google.protobuf import text_format

from components.beam_args import NOT_PACKED
from pipeline.local import processes

_OPTIONS, _JOB, _PID = "options", "job", "pid"  # What the runner tells the pool.
_MOST_WORKERS = 4  # Unless asked for: each has a few hundred MB of its own.
# Environment variable with the pool's address, for all processes that this one starts. As an argument of Beam's it
# would be another one for every run, and TFX reuses what was made with the same arguments only.
ADDRESS = "RECOMMENDER_WORKER_POOL"


@WorkerHandler.register_environment(urns.EXTERNAL.urn, beam_runner_api_pb2.ExternalPayload)
class _LocalWorkerHandler(ExternalWorkerHandler):
    """Has the workers come back over the loopback, whatever this machine's name resolves to."""

    def host_from_worker(self) -> str:
        return "localhost"


class PoolRunner(FnApiRunner):
    """Runs each stage on workers of the pool that is there, but what one worker does in the process itself.

    They are `--direct_num_workers`; 0 means one a processor, up to a limit.
    """

    def run_pipeline(self, pipeline: beam.Pipeline, options: PipelineOptions) -> PipelineResult:
        """As the base class."""
        direct = options.view_as(DirectOptions)
        direct.direct_num_workers = direct.direct_num_workers or min(os.cpu_count(), _MOST_WORKERS)
        if direct.direct_num_workers == 1:
            return super().run_pipeline(pipeline, options)
        told = {
            _OPTIONS: json.dumps(options.get_all_options(drop_default=True)),
            _JOB: multiprocessing.current_process().name,
            _PID: str(os.getpid()),
        }
        self._default_environment = ExternalEnvironment(os.environ[ADDRESS], told)
        return super().run_pipeline(pipeline, options)


@contextlib.contextmanager
def pool(workers: int) -> Iterator[list[str]]:
    """A worker pool that lives as long as the context; yields Beam's arguments to run a job on `workers` of it."""
    server = grpc.server(futures.ThreadPoolExecutor())
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(_Pool(), server)
    os.environ[ADDRESS] = f"localhost:{server.add_insecure_port('localhost:0')}"
    server.start()
    try:
        runner = f"--runner={PoolRunner.__module__}.{PoolRunner.__name__}"
        yield [runner, f"--direct_num_workers={workers}", NOT_PACKED]
    finally:
        del os.environ[ADDRESS]
        server.stop(None)


class _Pool(beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolServicer):
    """Forks a worker for whoever asks; it ends with its job."""

    def StartWorker(self, request, unused_context):
        environment = {
            "WORKER_ID": request.worker_id,
            "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(request.control_endpoint),
            "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(request.logging_endpoint),
            "PIPELINE_OPTIONS": request.params[_OPTIONS] or "{}",  # Other runners tell none of this.
        }
        worker = processes.start(request.params[_JOB] or request.worker_id, _work, environment)
        if request.params[_PID]:
            threading.Thread(target=_watch, args=(worker, int(request.params[_PID])), daemon=True).start()
        return beam_fn_api_pb2.StartWorkerResponse()


def _watch(worker: processes.BaseProcess, job: int) -> None:
    """Kills the job whose worker is killed, as it would wait for it without end."""
    if processes.exit_code(worker) < 0:
        with contextlib.suppress(ProcessLookupError):
            os.kill(job, signal.SIGKILL)


def _work(environment: dict[str, str]) -> None:
    os.environ.update(environment)
    processes.share_processors(json.loads(environment["PIPELINE_OPTIONS"]).get("direct_num_workers", 1))
    sdk_worker_main.main([])
