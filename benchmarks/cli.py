"""`recommender benchmark`. What takes long to import is imported inside the command that needs it."""

from __future__ import annotations

import click
from rich.console import Console

from models.errors import UserError
from pipeline.options import SPLITS
from serving.serve_flags import DEFAULT_MODEL_DIR

_MODEL_DIR = click.option(
    "--model-dir",
    metavar="DIR",
    default=DEFAULT_MODEL_DIR,
    show_default=True,
    help="Directory of numbered versions; the newest is measured.",
)


@click.group()
def benchmark() -> None:
    """Measure what the README claims."""


@benchmark.command()
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration, as for `run`.")
@click.option("--data", metavar="DIR|EDITION", help="Data, as for `run`.")
@click.option("--split", type=click.Choice(SPLITS), help="How train and eval are divided.  [default: as configured]")
@click.option("--models", metavar="NAME,NAME,…", help="`ours` and baselines.  [default: all that make sense]")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Trainings to average.")
@click.option(
    "--max-queries",
    default=20_000,
    show_default=True,
    type=click.IntRange(min=1),
    help="About so many eval rows are asked about, all those of some users.",
)
@click.option("--ablations", is_flag=True, help="Also train ours without each of its parts, once each.")
@click.option("--trade", metavar="FILE", help="Also plot accuracy against index.diversity's gains, as .svg or .png.")
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
@click.option("--output", metavar="DIR", help="Where the runs go.  [default: ./runs/benchmark-<name>-<split>]")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as for `run`.")
def quality(
    config_name, data, split, models, seeds, max_queries, ablations, trade, json_file, output, overrides
) -> None:
    """Compare the pipeline's models with baselines, each tuned on train, on one split and the same queries."""
    from benchmarks.quality.command import run
    from pipeline.jobs import resolve_config

    config = resolve_config(config_name, data, split, overrides)
    output = output or f"runs/benchmark-{config.name}-{config.split.kind}"
    run(config, models, seeds, max_queries, ablations, trade, output, json_file, Console())


@benchmark.command()
@_MODEL_DIR
@click.option("--seconds", default=5.0, show_default=True, help="For each measurement, about.")
@click.option("--soak", default=100_000, show_default=True, help="Requests whose memory is watched; 0: none.")
@click.option(
    "--candidates",
    default="10000,100000,1000000",
    show_default=True,
    metavar="N,N,…",
    help="Catalogue sizes that the index is measured on.",
)
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
def serving(model_dir, seconds, soak, candidates, json_file) -> None:
    """Measure the server against calls without one, and the index against brute force."""
    from benchmarks.serving.command import run

    run(model_dir, seconds, soak, _numbers("--candidates", candidates), json_file, Console())


@benchmark.command()
@_MODEL_DIR
@click.option("--seconds", default=10.0, show_default=True, help="For each measurement, about.")
@click.option("--hostile", default=16, show_default=True, type=click.IntRange(min=1), help="Clients that attack.")
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
def starvation(model_dir, seconds, hostile, json_file) -> None:
    """Measure how long valid requests take while hostile clients attack the server."""
    from benchmarks.serving.starvation import run

    run(model_dir, seconds, hostile, json_file, Console())


def _numbers(option: str, text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.strip().isdecimal() and int(number) > 0 for number in numbers):
        raise UserError(f"{option} {text}: expected numbers, as in 10000,100000")
    return [int(number) for number in numbers]


@benchmark.command("pipeline")
@click.option(
    "--interactions", default="1000000,10000000", show_default=True, metavar="N,N,…", help="Of the data sets, rising."
)
@click.option("--items", default=20_000, show_default=True, type=click.IntRange(min=20), help="Of each data set.")
@click.option(
    "--output", metavar="DIR", default="runs/benchmark-pipeline", show_default=True, help="For data and runs."
)
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as for `run`.")
def pipeline_(interactions, items, output, json_file, overrides) -> None:
    """Measure every component's time and memory on generated data of several sizes, and with two Beam workers.

    The Trainers train for one epoch, unless --set says otherwise. The full sizes take some three hours on two
    processors; ratios of smaller ones, as 100000,1000000, tell nearly the same. Started again with the same --output,
    it goes on where it was stopped; another --output measures everything anew.
    """
    from benchmarks.scale.pipeline import run

    run(_numbers("--interactions", interactions), items, overrides, output, json_file, Console())


@benchmark.command()
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration, as for `run`.")
@click.option("--data", metavar="DIR|EDITION", help="Data, as for `run`.")
@click.option("--epochs", default=3, show_default=True, type=click.IntRange(min=2), help="Of our loop.")
@click.option("--steps", default=3, show_default=True, type=click.IntRange(min=1), help="Of the tutorial's.")
@click.option("--output", metavar="DIR", default="runs/benchmark-training", show_default=True, help="For the run.")
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as for `run`.")
def training(config_name, data, epochs, steps, output, json_file, overrides) -> None:
    """Measure both Trainers' examples a second, and the TFRS tutorial's retrieval loop beside, metrics included."""
    from benchmarks.scale.training import run
    from pipeline.jobs import resolve_config

    run(resolve_config(config_name, data, None, overrides), epochs, steps, output, json_file, Console())


@benchmark.command()
@click.option("--candidates", default=1_000_000, show_default=True, type=click.IntRange(min=1000), help="Vectors.")
@click.option("--dimensions", default=64, show_default=True, type=click.IntRange(min=2), help="Of each; even.")
@click.option("--recall", default=0.98, show_default=True, type=click.FloatRange(0, 1), help="At 100, at the least.")
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
def index(candidates, dimensions, recall, json_file) -> None:
    """Measure the servable's search against exact search, FAISS and hnswlib, all tuned to the same recall.

    The full size takes about ten minutes, most of them for hnswlib's graph.
    """
    from benchmarks.scale.index import run

    run(candidates, dimensions, recall, json_file, Console())


@benchmark.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("checkout")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(min=1), help="In turns, there and here.")
def against(checkout, command, rounds) -> None:
    """Run a benchmark in another CHECKOUT and here, and print the figures of both side by side.

    As in `recommender benchmark against ../before training --data ml-latest-small`, where `git worktree add ../before
    COMMIT` has made the checkout. --rounds comes first. A machine's speed changes from hour to hour, so only figures
    of one go are compared.
    """
    from benchmarks.against import run

    run(checkout, command, rounds, Console())


@benchmark.command()
@_MODEL_DIR
@click.option("--candidates", default=1_000_000, show_default=True, type=click.IntRange(min=40_000), help="Vectors.")
@click.option("--dimensions", default=64, show_default=True, type=click.IntRange(min=2), help="Of each; even.")
@click.option(
    "--recall", default=0.98, show_default=True, type=click.FloatRange(0, 1), help="At 100, without a filter."
)
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
def filters(model_dir, candidates, dimensions, recall, json_file) -> None:
    """Measure the search under filters that keep 50 %, 5 % and 0.5 % of the items, against exact search under them.

    The full size takes about three minutes.
    """
    from benchmarks.scale.filters import run

    run(candidates, dimensions, recall, model_dir, json_file, Console())
