"""The `recommender` command. What takes long to import is imported inside the command that needs it."""

from __future__ import annotations

import os
import sys
import warnings
from importlib import metadata

import click
from rich.console import Console

from models.errors import UserError
from pipeline.errors import RunError
from pipeline.options import PACKAGE, SPLITS, STARTS
from serving.cli import predict, serve
from serving.errors import ServingError
from serving.explore.command import explore
from serving.texts import one_line

_NOT_BLESSED = 3


class _Commands(click.Group):
    """The commands of this module, and those that the package's metadata name: of what stands above the pipeline."""

    _GROUP = "recommender.commands"

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *self._entry_points()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry_point = self._entry_points().get(cmd_name)
        return entry_point.load() if entry_point else super().get_command(ctx, cmd_name)

    def _entry_points(self) -> dict[str, metadata.EntryPoint]:
        try:
            declared = metadata.distribution(PACKAGE).entry_points
        except metadata.PackageNotFoundError:  # A checkout that is not installed.
            return {}
        return {entry_point.name: entry_point for entry_point in declared if entry_point.group == self._GROUP}


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """From raw interactions to a served two-stage recommender.

    \b
    recommender run                            the whole pipeline on built-in, generated data
    recommender run --data ml-100k             … on MovieLens 100K, downloaded from GroupLens
    recommender run --data DIR                 … on MovieLens files that you have
    recommender init DIR                       a configuration for files of your own, guessed from them
    recommender run --config my.yaml           … the pipeline on them
    recommender generate --output DIR          write generated data of any size
    recommender backtest --config my.yaml      what the last 14 nights would have been
    recommender skew --requests FILE           are the requests like the data?
    recommender history                        what the runs came to
    recommender clean --keep 7                 remove what older runs have left
    recommender serve                          serve what was pushed, as TensorFlow Serving would
    recommender predict 42                     ask that server
    recommender explore                        look at a served model in the browser
    """


@cli.command()
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration: a YAML file, or a built-in one.")
@click.option("--data", metavar="DIR|EDITION", help="A directory with MovieLens files, or an edition to download.")
@click.option("--output", metavar="DIR", help="Where everything goes.  [default: ./runs/<name>]")
@click.option(
    "--split",
    type=click.Choice(SPLITS),
    help="How interactions are divided into train and eval.  [default: per_user_chronological]",
)
@click.option("--span", metavar="NAME", help="The newest delivery that is read.  [default: as configured: the latest]")
@click.option("--window", type=click.IntRange(min=1), help="How many deliveries are read.  [default: as configured: 1]")
@click.option("--warm-start", is_flag=True, help="Begin with the live model's weights.  [default: as configured: no]")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as in retrieval.epochs=3.")
@click.option(
    "--beam-workers",
    type=click.IntRange(min=1),
    help="Processes of a Beam job; the examples are the same whatever their number.  [default: one for each processor, "
    "four at most, but one for StatisticsGen]",
)
@click.option(
    "--beam-arg",
    "beam_args",
    metavar="--NAME=VALUE",
    multiple=True,
    help="An argument of Beam's, as in --beam-arg=--runner=FlinkRunner.",
)
def run(config_name, data, output, split, span, window, warm_start, overrides, beam_workers, beam_args) -> None:
    """Run the pipeline: read, validate, transform, train, build, evaluate, and push if blessed.

    Running again into the same --output reuses what has not changed, also after a run that was stopped half-way.
    Exit status: 0 pushed, 1 failed, 2 wrong input, 3 not blessed and so not pushed.
    """
    from pipeline.jobs import resolve_config, run_pipeline

    config = resolve_config(config_name, data, split, overrides, span, window, warm_start)
    report = run_pipeline(config, output, Console(), beam_workers, beam_args)
    if not report["blessed"]:
        sys.exit(_NOT_BLESSED)


@cli.command()
@click.argument("directory", metavar="DIR")
@click.option("--output", metavar="FILE", help="The configuration to write.  [default: <name of DIR>.yaml]")
def init(directory, output) -> None:
    """Write a first configuration for the files in DIR: CSV, TSV or Parquet, also packed, or directories of them.

    Looks at the beginning of each, guesses which table and which columns are what, and says why, in the file too; a
    question mark stands where it was not sure.
    """
    from pipeline.guess.command import run as write

    write(directory, output, Console())


@cli.command()
@click.option(
    "--kind",
    type=click.Choice(["ratings", "purchases"]),
    default="ratings",
    show_default=True,
    help="Ratings of movies, or purchases with repeats, events, and features of items, customers and context.",
)
@click.option("--users", default=600, show_default=True, type=click.IntRange(min=2))
@click.option("--items", default=800, show_default=True, type=click.IntRange(min=20))
@click.option("--interactions", default=40_000, show_default=True, type=click.IntRange(min=100), help="At most, about.")
@click.option("--seed", default=42, show_default=True, help="The same seed and sizes give the same files.")
@click.option("--output", metavar="DIR", required=True, help="A directory that is not there yet.")
def generate(kind, users, items, interactions, seed, output) -> None:
    """Write interactions of any size, for `run --data`: shaped like MovieLens, or a shop's.

    A user's sessions are drawn one after the other, so the time grows with interactions x items, and the memory with
    the items alone.
    """
    from pipeline.data.settings import Generated
    from pipeline.jobs import run_generate

    size = Generated(kind=kind, users=users, items=items, interactions=interactions, seed=seed)
    run_generate(size, output, Console())


@cli.command()
@click.option("--output", metavar="DIR", default="runs/demo", show_default=True, help="The run's output directory.")
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
def report(output, opens) -> None:
    """Print the summary of a run, and write report.html into its directory."""
    import webbrowser

    from components.reporter.page import to_html
    from pipeline import history as runs
    from pipeline.summary import print_summary, read_report, write_page

    console, found = Console(), read_report(output)
    print_summary(found, console)
    page = write_page(to_html(found, runs.read(output)), output)
    console.print(f"Wrote {page}", soft_wrap=True)
    if opens and not webbrowser.open(page.resolve().as_uri()):
        raise RunError(f"--open: no browser was found: open {page} in one")


@cli.command()
@click.option("--output", metavar="DIR", default="runs/demo", show_default=True, help="The runs' output directory.")
@click.option("--last", type=click.IntRange(min=1), help="So many runs, the newest.  [default: all]")
@click.option("--json", "json_file", metavar="FILE", help="Also write them to this file; - is the standard output.")
def history(output, last, json_file) -> None:
    """List every run into a directory: when, which span, verdict, version, seconds and figures.

    A run that was killed, or that the data stopped, is listed too, with the reason.
    """
    import json

    from pipeline.history import read, show

    entries = read(output)[-(last or 0) :]
    if not entries:
        raise UserError(f"--output {output}: no run yet. `recommender run --output {output}` is the first")
    if json_file != "-":
        show(entries, Console())
    if json_file:
        with click.open_file(json_file, "w") as file:
            file.write(json.dumps(entries, indent=2) + "\n")


@cli.command()
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration, as for `run`.")
@click.option("--data", metavar="DIR|EDITION", help="Data, as for `run`.")
@click.option("--spans", type=click.IntRange(min=1), default=14, show_default=True, help="So many nights, the last.")
@click.option(
    "--start",
    "starts",
    type=click.Choice(STARTS),
    multiple=True,
    help="Whether training begins anew or with the live model's weights. Each has a live model of its own.  "
    "[default: both]",
)
@click.option("--output", metavar="DIR", help="Where the nights go.  [default: ./runs/backtest-<name>]")
@click.option(
    "--max-queries",
    type=click.IntRange(min=1),
    default=5_000,
    show_default=True,
    help="Interactions of each next day that are asked about.",
)
@click.option("--json", "json_file", metavar="FILE", help="Also write the nights to this file.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as for `run`.")
def backtest(config_name, data, spans, starts, output, max_queries, json_file, overrides) -> None:
    """What the last nights would have been: train, gate, and ask the live model about the next day.

    Data in spans is taken as it came; other data is cut into days (UTC). A backtest that was stopped goes on.
    """
    from pipeline.backtest.command import run as run_nights
    from pipeline.jobs import resolve_config

    config = resolve_config(config_name, data, None, overrides)
    if config.data.directory is None:
        raise UserError("a backtest needs data with days: give --data DIR, or --config with data.directory")
    output = output or os.path.join("runs", f"backtest-{config.name}")
    run_nights(config, spans, starts or STARTS, max_queries, output, json_file, Console())


@cli.command()
@click.option("--requests", metavar="FILE", required=True, help="TensorFlow Serving's request log, or JSON lines.")
@click.option("--output", metavar="DIR", default="runs/demo", show_default=True, help="Of the runs that push.")
@click.option("--model-dir", metavar="DIR", help="Where the versions are.  [default: in --output]")
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration, for its limits of drift.")
def skew(requests, output, model_dir, config_name) -> None:
    """Compare logged requests with what the live model was trained on.

    Users and items that it does not know, ids written otherwise, hours of the day, and the context: missing and other
    values. A line of JSON is an instance, or the body of a REST request. Exit status 3: something reaches `stop`.
    """
    from components.drift_validator.settings import Drift
    from pipeline.config import load_config
    from pipeline.outputs import serving_dir
    from pipeline.skew import run as compare

    limits = load_config(config_name).drift if config_name else Drift()
    if compare(requests, model_dir or serving_dir(output), limits, Console()):
        sys.exit(_NOT_BLESSED)


@cli.command()
@click.option(
    "--keep", required=True, type=click.IntRange(min=1), help="So many complete runs, and versions (two at least)."
)
@click.option("--output", metavar="DIR", default="runs/demo", show_default=True, help="The runs' output directory.")
@click.option("--push-destination", metavar="DIR|URL", help="Where the versions are.  [default: in --output]")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
def clean(keep, output, push_destination, dry_run) -> None:
    """Remove artifacts, logs and versions of old runs: never the live version, nor what a run that is kept needs."""
    from pipeline.cleaning import clean

    clean(output, keep, push_destination, dry_run, Console())


@cli.command()
@click.option("--output", metavar="DIR", default="runs/demo", show_default=True, help="Where everything goes.")
def demo(output) -> None:
    """The main job on built-in data, then the same questions over REST and over gRPC."""
    from pipeline.jobs import run_demo

    if not run_demo(output, Console())["blessed"]:
        sys.exit(_NOT_BLESSED)


cli.add_command(serve)
cli.add_command(predict)
cli.add_command(explore)


def main() -> None:
    """Entry point: an error that was foreseen is one line on stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reports missing GPUs as errors.
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # Libraries warn of this Python and this gRPC in every process.
    warnings.simplefilter("ignore")
    try:
        cli(standalone_mode=False)
    except (UserError, RunError, ServingError) as error:
        click.echo(f"error: {one_line(str(error))}", err=True)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
