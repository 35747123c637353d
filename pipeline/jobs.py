"""What the commands do, composed from configuration, data, runner and server."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import rich.progress
from rich.console import Console

from models.errors import UserError
from pipeline.config import Config, as_name, load_config
from pipeline.data import editions
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated
from pipeline.summary import print_summary

_RUNS = "runs"


def run_pipeline(
    config: Config,
    output: str | None,
    console: Console,
    beam_workers: int | None = None,
    beam_args: Sequence[str] = (),
) -> dict[str, Any]:
    """`recommender run`: runs, and shows the summary. Returns the report."""
    from components import storage
    from pipeline.local import runner

    report = runner.run(config, output or os.path.join(_RUNS, config.name), console, beam_workers, beam_args)
    print_summary(report, console)
    pushed_to = report["serving_model_dir"]
    if report["blessed"] and not storage.is_remote(pushed_to):
        console.print(
            f"Next: recommender explore --model-dir {pushed_to}", soft_wrap=True, markup=False, highlight=False
        )
    return report


def run_generate(size: Generated, output: str, console: Console) -> None:
    """`recommender generate`: writes built-in data into a new directory.

    Raises:
      UserError: there is such a directory already, or it cannot be made.
    """
    directory = os.path.abspath(output)
    if os.path.exists(directory):
        raise UserError(f"--output {output}: the directory exists already; give another")
    progress = functools.partial(rich.progress.track, description="Users", console=console)
    try:
        write_generated(size, directory, progress)
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror}") from error
    console.print(f"Wrote generated, not real, data. Next: recommender run --data {output}", soft_wrap=True)


def resolve_config(
    config_name: str | None,
    data: str | None,
    split: str | None,
    overrides: Sequence[str],
    span: str | None = None,
    window: int | None = None,
    warm_start: bool = False,
) -> Config:
    """The configuration that the options mean: `--config` decides the layout, or the files in `--data` do."""
    name, directory = None, None
    if config_name is None:
        config_name, directory = editions.resolve_data(data)
        name = as_name(os.path.basename(directory or "")) or None
    elif data is not None:
        directory = editions.data_directory(data)
    given = {"data__directory": directory, "data__span": span, "data__window": window, "split__kind": split}
    given["warm_start"] = warm_start or None  # The option can only ask for it.
    config = load_config(config_name, overrides, default_name=name, **given)
    if directory and config.data.generated:
        raise UserError(f"--data {data}: configuration {config.name} generates its data; leave out one of the two")
    if config.data.directory is None and config.data.generated is None:
        raise UserError(f"configuration {config.name} does not say where its data is: give --data DIR")
    return config


def run_demo(output: str, console: Console) -> dict[str, Any]:
    """`recommender demo`: the pipeline on built-in data, then answers from a server over REST and gRPC.

    Returns the report. Raises ServingError where the server does not start.
    """
    from pipeline.demo import show_answers

    report = run_pipeline(load_config("demo"), output, console)
    if report["blessed"]:
        show_answers(os.path.join(report["serving_model_dir"], report["pushed_version"]), console)
    return report
