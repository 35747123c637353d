"""Runs a DAG on this machine, each component in a process of its own as soon as its inputs are there."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Collection
from datetime import datetime
from multiprocessing import connection
from typing import NamedTuple

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration.local import runner_utils
from tfx.orchestration.portable import launcher, runtime_parameter_utils, tfx_runner
from tfx.proto.orchestration import pipeline_pb2

from models.errors import UserError
from pipeline.errors import RunError
from pipeline.local import processes
from pipeline.local.database import TakingTurns
from pipeline.local.progress import LOG_FORMAT, Progress


class _Done(NamedTuple):
    reused: bool
    seconds: float


class DagRunner(tfx_runner.IrBasedRunner):
    """As TFX's LocalDagRunner, which runs one component after the other in one process.

    Args:
      progress: is told of every component.
      trainers: components that want all processors.
      side_by_side: whether these run at the same time, each with a part of the processors, or one after the other.
    """

    def __init__(self, progress: Progress, trainers: Collection[str], side_by_side: bool):
        self._progress = progress
        self._trainers = frozenset(trainers)
        self._side_by_side = side_by_side
        self._running: dict[connection.Connection, processes.BaseProcess] = {}

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None) -> None:
        """Runs all components.

        Raises:
          UserError, RunError: of the first component that fails. Those that run beside it are stopped.
        """
        run_id = {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.now().isoformat()}
        runtime_parameter_utils.substitute_runtime_parameter(pipeline, run_id)
        waiting = {node.pipeline_node.node_info.id: node.pipeline_node for node in pipeline.nodes}
        try:
            while waiting or self._running:
                for name in self._ready(waiting):
                    del waiting[name]
                    self._start(name, pipeline)
                for receiver in connection.wait(list(self._running)):
                    self._receive(receiver)
        finally:
            for process in self._running.values():
                processes.stop(process)

    def _ready(self, waiting: dict[str, pipeline_pb2.PipelineNode]) -> list[str]:
        """The components to start now, no more than there are processors for."""
        running = {process.name for process in self._running.values()}
        ready: list[str] = []
        for name, node in waiting.items():
            beside = {*running, *ready}
            needed = not (running | set(waiting)).isdisjoint(node.upstream_nodes)
            alone = name in self._trainers and not self._side_by_side
            if len(beside) < os.cpu_count() and not needed and not (alone and not beside.isdisjoint(self._trainers)):
                ready.append(name)
        return ready

    def _start(self, name: str, pipeline: pipeline_pb2.Pipeline) -> None:
        self._progress.start(name)
        among = len(self._trainers) if name in self._trainers and self._side_by_side else 1
        receiver, sender = connection.Pipe(duplex=False)
        with sender:
            arguments = pipeline.SerializeToString(), name, among, sender
            self._running[receiver] = processes.start(name, _run_one, *arguments)

    def _receive(self, receiver: connection.Connection) -> None:
        """Takes one message of a component: text to show, how it ended, or that it is gone."""
        process = self._running[receiver]
        try:
            message = receiver.recv()
        except EOFError:
            code = processes.exit_code(process)
            how = f"was killed by signal {-code}, as when memory runs out" if code < 0 else f"ended with status {code}"
            raise RunError(f"{process.name} failed: its process {how}") from None
        if isinstance(message, Exception):
            raise message
        if isinstance(message, _Done):
            del self._running[receiver]
            processes.exit_code(process)
            self._progress.finish(process.name, *message)
        else:
            self._progress.tell(process.name, message)


class _Sender(logging.Handler):
    """Sends messages to the runner."""

    def __init__(self, sender: connection.Connection):
        super().__init__()
        self._sender = sender

    def emit(self, record: logging.LogRecord) -> None:
        self._sender.send(record.getMessage())


def _run_one(pipeline: bytes, name: str, among: int, sender: connection.Connection) -> None:
    """The main function of a component's process; `among` of them run side by side and want all processors."""
    processes.share_processors(among)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, force=True)
    messages = logging.getLogger("recommender.progress")
    messages.setLevel(logging.INFO)
    messages.addHandler(_Sender(sender))
    # Unwinds the stack, so that the server of the InfraValidator does not stay behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.monotonic()
    try:
        reused = _launch(pipeline_pb2.Pipeline.FromString(pipeline), name)
    except Exception as error:
        logging.exception("%s failed.", name)
        sender.send(to_shown_error(error, name))
    else:
        sender.send(_Done(reused, time.monotonic() - started))


def _launch(pipeline: pipeline_pb2.Pipeline, name: str) -> bool:
    """Runs a component, or finds that an earlier run's outputs are still right; returns which."""
    deployment = runner_utils.extract_local_deployment_config(pipeline)
    database = deployment.metadata_connection_config
    handle = TakingTurns(getattr(database, database.WhichOneof("connection_config")))
    (node,) = (node.pipeline_node for node in pipeline.nodes if node.pipeline_node.node_info.id == name)
    info = launcher.Launcher(
        pipeline_node=node,
        mlmd_connection=handle,
        pipeline_info=pipeline.pipeline_info,
        pipeline_runtime_spec=pipeline.runtime_spec,
        executor_spec=runner_utils.extract_executor_spec(deployment, name),
        custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
    ).launch()
    with handle:
        (execution,) = handle.store.get_executions_by_id([info.execution_id])
    return execution.last_known_state == metadata_store_pb2.Execution.CACHED


def to_shown_error(error: Exception, name: str) -> UserError | RunError:
    """The error to show for a failure. Beam adds its stage to an error, and makes text of one in a worker."""
    text = str(error)
    wrong_input = re.search(rf"^{UserError.__module__}\.{UserError.__name__}: (.*)", text, re.MULTILINE)
    if wrong_input or isinstance(error, UserError):
        return UserError((wrong_input[1] if wrong_input else text).partition(" [while running")[0])
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    what = " … ".join(dict.fromkeys(lines[:1] + lines[-1:]))
    return RunError(f"{name} failed: {type(error).__name__}: {what}")
