"""Runs the pipeline on this machine, with progress on the console and TFX's own log in a file."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from components import storage
from components.files import REPORT_FILE
from models.errors import UserError
from pipeline import history, outputs, steps
from pipeline.collector import nothing_collected
from pipeline.config import Config
from pipeline.data import checks
from pipeline.data.generator import write_generated
from pipeline.errors import RunError
from pipeline.fingerprints import model_origin
from pipeline.local import processes
from pipeline.local.progress import LOG_FORMAT, Progress
from pipeline.steps import Step
from pipeline.summary import write_report
from serving.texts import one_line

_FULL = ("No space left on device", "disk is full", "disk full")
_SHOWN = 200  # Characters of the library's own error.


def run(
    config: Config,
    output: str,
    console: Console,
    beam_workers: int | None = None,
    beam_args: Sequence[str] = (),
    serving_dir: str | None = None,
) -> dict[str, Any]:
    """Runs the whole pipeline and writes report.json.

    Components whose inputs, parameters and code have not changed since an earlier run into the same `output` are
    reused, also after a run that was killed.

    Args:
      config: the run's configuration.
      output: directory of artifacts, metadata, served versions and report.
      console: for progress.
      beam_workers: processes of each Beam job, where Beam's arguments name no runner. None: several for
        `steps.PARALLEL`, one elsewhere.
      beam_args: Beam's arguments.
      serving_dir: where versions are pushed to. None: `outputs.serving_dir`.

    Returns:
      The report.

    Raises:
      UserError: wrong input, or another run is writing to `output`.
    """
    started = time.monotonic()
    if storage.is_remote(output):
        raise UserError(f"--output {output}: give a local directory: a local run keeps its database and locks there")
    output = os.path.abspath(output)
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror}") from error
    with outputs.locked(output):
        if config.data.generated:
            config.data.directory = _generate(config, output, console)
        span = config.data.deliveries().name
        config.data.span = span or config.data.span  # The latest now, also later on.
        with history.recorded(output, config.name, span) as entry:
            with _full_disk_said(output):
                served = serving_dir or outputs.serving_dir(output)
                report = _checked_run(config, output, served, console, beam_workers, beam_args, started)
            entry |= history.of_report(report)
        return report


def _checked_run(
    config: Config,
    output: str,
    serving_dir: str,
    console: Console,
    beam_workers: int | None,
    beam_args: Sequence[str],
    started: float,
) -> dict[str, Any]:
    checks.check(config)
    log = Path(output) / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}.log"
    console.print(f"Running the pipeline into {output}", soft_wrap=True)
    console.print(f"Starting TFX, whose own log is {log}", soft_wrap=True)
    with _noise_in(log, console) as screen:
        os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # Several processes use it.
        processes.prepare()
        with _beam(beam_workers, beam_args) as all_beam_args:
            return _run(config, output, serving_dir, screen, all_beam_args, started)


@contextlib.contextmanager
def _full_disk_said(output: str) -> Iterator[None]:
    """Makes one error of those in which Python, TensorFlow and SQLite each say that a disk is full."""
    try:
        yield
    except Exception as error:
        text = f"{error} {error.__cause__ or ''}"
        if not any(sign in text for sign in _FULL):
            raise
        raise RunError(
            f"{output}: the disk is full. What is served stays. `recommender clean --keep 2 --output {output}` "
            f"makes room; run again, and it goes on from what is there ({one_line(str(error))[:_SHOWN]})"
        ) from error


class _BeamArgs(NamedTuple):
    all: list[str]
    parallel: list[str]  # Added for the components that may have several workers.


@contextlib.contextmanager
def _beam(workers: int | None, arguments: Sequence[str]) -> Iterator[_BeamArgs]:
    """Beam's arguments, which are good for as long as this is entered."""
    if any(argument.startswith("--runner") for argument in arguments):
        yield _BeamArgs([*arguments], [])
        return
    from pipeline.local.beam_workers import pool  # Imported here: Beam takes seconds.

    named = workers or any(argument.startswith("--direct_num_workers") for argument in arguments)
    with pool(workers or 1) as in_pool:
        yield _BeamArgs([*in_pool, *arguments], [] if named else ["--direct_num_workers=0"])


def _run(
    config: Config, output: str, serving_dir: str, console: Console, beam_args: _BeamArgs, started: float
) -> dict[str, Any]:
    with nothing_collected():  # Imported here: it takes many seconds, and prints.
        import tensorflow as tf

        from components.live_model.executor import live_version
        from pipeline.dag import Parameters, create_pipeline
        from pipeline.local.dag_runner import DagRunner

    connection = outputs.connection(output)
    fingerprint = checks.fingerprint(config)
    origin = model_origin(config, fingerprint)
    pipeline = create_pipeline(
        config=config,
        parameters=Parameters(
            data=config.data.directory,
            span=config.data.span,
            window=config.data.window,
            push_destination=serving_dir,
            rejected_rows=os.path.join(output, "rejected_rows"),
            retrieval_epochs=config.retrieval.epochs,
            ranking_epochs=config.ranking.epochs,
            thresholds="{}",
        ),
        data_fingerprint=fingerprint,
        features=checks.features(config),
        origin=origin,
        live_as_of=live_version(serving_dir, origin),
        lost_versions=outputs.lost_versions(connection, serving_dir, origin),
        pipeline_name=outputs.PIPELINE_NAME,
        pipeline_root=os.path.join(output, "pipeline"),
        beam_pipeline_args=beam_args.all,
        metadata_connection_config=connection,
    )
    for component in pipeline.components:
        if component.id in steps.PARALLEL:
            component.with_beam_pipeline_args(beam_args.parallel)
    progress = Progress([component.id for component in pipeline.components], console)
    startup = time.monotonic() - started
    # A Trainer needs the memory of a GPU, or the port that TF_CONFIG gives to this machine.
    alone = tf.config.list_physical_devices("GPU") or "TF_CONFIG" in os.environ
    DagRunner(progress, steps.TRAINERS, side_by_side=not alone).run(pipeline)
    report = outputs.Outputs(connection).json(Step.REPORTER, "metrics", REPORT_FILE)
    report["cached"] = progress.cached
    report["seconds"] = {
        "total": round(time.monotonic() - started, 1),
        "startup": round(startup, 1),
        "components": progress.seconds,
    }
    write_report(report, output)
    return report


@contextlib.contextmanager
def _noise_in(log: Path, console: Console) -> Iterator[Console]:
    """Sends all that this process and its libraries print to `log`; yields a console that still shows on the screen."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with log.open("w", encoding="utf-8") as file, os.fdopen(os.dup(1), "w", encoding="utf-8") as screen:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, force=True)
        try:
            yield Console(file=screen, width=console.width, force_terminal=console.is_terminal)
        except Exception as error:
            logging.exception("The run stopped.")
            if isinstance(error, RunError):
                raise RunError(f"{error}. The full log is {log}") from error
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
            for descriptor in saved:
                os.close(descriptor)


def _generate(config: Config, output: str, console: Console) -> str:
    size = config.data.generated
    console.print(
        f"Data: generated, not real: up to {size.interactions:,} interactions of {size.users:,} users with "
        f"{size.items:,} items."
    )
    key = hashlib.sha256(size.model_dump_json().encode()).hexdigest()[:8]
    directory = os.path.join(output, "data", key)
    write_generated(size, directory)
    return directory
