"""The `recommender` command. What takes long to import is imported inside the command that needs it."""

from __future__ import annotations

import os
import sys
import warnings

import click
from rich.console import Console

from kubeflow.cli import kubeflow
from pipeline.errors import RunError, UserError
from serving.errors import ServingError

_NOT_BLESSED = 3
_SPLITS = ["per_user_chronological", "random", "global_temporal"]


def _tf_flag(name: str, **kwargs):
    """A yes-or-no option as TensorFlow's commands have them: `--name`, `--name=true` or `--name=false`."""
    return click.option(name, is_flag=False, flag_value=True, type=bool, show_default=True, metavar="BOOL", **kwargs)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """From raw interactions to a served two-stage recommender.

    \b
    recommender run                            the whole pipeline on built-in, generated data
    recommender run --data ml-100k             … on MovieLens 100K, downloaded from GroupLens
    recommender run --data DIR                 … on MovieLens files that you have
    recommender run --config my.yaml           … on interactions of your own
    recommender generate --output DIR          write generated data of any size
    recommender serve                          serve what was pushed, as TensorFlow Serving would
    recommender predict 42                     ask that server
    """


@cli.command()
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration: a YAML file, or a built-in one.")
@click.option("--data", metavar="DIR|EDITION", help="A directory with MovieLens files, or an edition to download.")
@click.option("--output", metavar="DIR", help="Where everything goes.  [default: ./runs/<name>]")
@click.option(
    "--split",
    type=click.Choice(_SPLITS),
    help="How eval interactions are held out.  [default: per_user_chronological]",
)
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
def run(config_name, data, output, split, overrides, beam_workers, beam_args) -> None:
    """Run the pipeline: read, validate, transform, train, build, evaluate, and push if blessed.

    Running again into the same --output reuses what has not changed, also after a run that was stopped half-way.
    Exit status: 0 pushed, 1 failed, 2 wrong input, 3 not blessed and so not pushed.
    """
    from pipeline.jobs import run_pipeline

    report = run_pipeline(config_name, data, output, split, overrides, Console(), beam_workers, beam_args)
    if not report["blessed"]:
        sys.exit(_NOT_BLESSED)


@cli.command()
@click.option("--users", default=600, show_default=True, type=click.IntRange(min=2))
@click.option("--movies", default=800, show_default=True, type=click.IntRange(min=20))
@click.option("--interactions", default=40_000, show_default=True, type=click.IntRange(min=100), help="At most, about.")
@click.option("--seed", default=42, show_default=True, help="The same seed and sizes give the same files.")
@click.option("--output", metavar="DIR", required=True, help="A directory that is not there yet.")
def generate(users, movies, interactions, seed, output) -> None:
    """Write interactions shaped like MovieLens, of any size, for `run --data`.

    A user's sessions are drawn one after the other, so the time grows with interactions x movies, and the memory with
    the movies alone.
    """
    from pipeline.config import Generated
    from pipeline.jobs import run_generate

    size = Generated(users=users, movies=movies, interactions=interactions, seed=seed)
    run_generate(size, output, Console())


@cli.command()
@click.option("--output", metavar="DIR", default="runs/demo", show_default=True, help="The run's output directory.")
def report(output) -> None:
    """Print the summary of a run, and write report.html into its directory."""
    from pipeline.report import print_summary, read_report, write_html

    console, found = Console(), read_report(output)
    print_summary(found, console)
    console.print(f"Wrote {write_html(found, output)}", soft_wrap=True)


@cli.command()
@click.option(
    "--model-dir",
    "--model_base_path",
    "model_base_path",
    metavar="DIR",
    default="runs/demo/serving_models/recommender",
    show_default=True,
    help="Directory of numbered versions; the newest is served, also when it comes later.",
)
@click.option("--model-name", "--model_name", default="recommender", show_default=True, help="Name in requests.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8500, show_default=True, help="gRPC port; 0 takes a free one.")
@click.option(
    "--rest-port", "--rest_api_port", "rest_api_port", default=8501, show_default=True, help="REST port; 0: a free one."
)
@click.option("--grpc_socket_path", metavar="FILE", help="A Unix socket to answer gRPC on as well.")
@click.option("--model_config_file", metavar="FILE", help="Models, policies and labels; instead of --model-dir.")
@click.option(
    "--model_config_file_poll_wait_seconds",
    default=0.0,
    show_default=True,
    help="Read that file again after so long; 0: never.",
)
@click.option(
    "--file_system_poll_wait_seconds",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="Look for new versions after so long.",
)
@_tf_flag("--enable_batching", default=True, help="Join the requests of concurrent clients.")
@click.option("--batching_parameters_file", metavar="FILE", help="How: TensorFlow Serving's BatchingParameters.")
@click.option("--monitoring_config_file", metavar="FILE", help="TensorFlow Serving's MonitoringConfig.")
@click.option("--rest_api_timeout_in_ms", default=30_000, show_default=True, help="For a whole REST request.")
@click.option("--grpc_channel_arguments", metavar="KEY=VALUE,…", default="", help="For the gRPC server.")
def serve(**options) -> None:
    """Serve a model over TensorFlow Serving's REST and gRPC protocol, until interrupted.

    Options with underscores are those of `tensorflow_model_server`, and mean the same. Metrics for Prometheus are at
    /monitoring/prometheus/metrics, health is told by gRPC's standard service.
    """
    from serving.server.main import serve_forever
    from serving.server.options import ServerOptions

    serve_forever(ServerOptions(**options))


@cli.command()
@click.argument("user_id")
@click.option("--k", type=click.IntRange(min=1), help="Number of recommendations.  [default: the model's, 10]")
@click.option("--history", metavar="ID,ID,…", help="Movies the user has just seen, most recent first.")
@click.option("--grpc", "use_grpc", is_flag=True, help="Ask over gRPC instead of REST.")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8500, show_default=True, help="gRPC port.")
@click.option("--rest-port", default=8501, show_default=True, help="REST port.")
@click.option("--model-name", default="recommender", show_default=True)
def predict(user_id, k, history, use_grpc, host, port, rest_port, model_name) -> None:
    """Ask a running server what to recommend to USER_ID ("" is an anonymous visitor)."""
    from serving.client import Client

    movies = [movie.strip() for movie in history.split(",") if movie.strip()] if history else None
    with Client(host, port if use_grpc else rest_port, use_grpc, model_name) as client:
        recommendations = client.recommend([user_id], [movies] if movies is not None else None, k)[0]
    for place, movie in enumerate(recommendations, 1):
        click.echo(f"{place:3d}  {movie.score:8.3f}  {movie.title}  ({movie.movie_id})")


@cli.group()
def benchmark() -> None:
    """Measure what the README claims."""


@benchmark.command()
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration, as for `run`.")
@click.option("--data", metavar="DIR|EDITION", help="Data, as for `run`.")
@click.option("--split", type=click.Choice(_SPLITS), default="per_user_chronological", show_default=True)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(min=1), help="Trainings to average.")
@click.option("--ablations", is_flag=True, help="Also train ours without each of its parts, once each.")
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
@click.option("--output", metavar="DIR", help="Where the runs go.  [default: ./runs/benchmark-<name>-<split>]")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as for `run`.")
def quality(config_name, data, split, seeds, ablations, json_file, output, overrides) -> None:
    """Compare the pipeline's models with popularity, EASE, iALS, BPR and the TFRS tutorial on one split."""
    from benchmarks.quality.command import run
    from pipeline.jobs import resolve_config

    config = resolve_config(config_name, data, split, overrides)
    run(config, seeds, ablations, output or f"runs/benchmark-{config.name}-{split}", json_file, Console())


@benchmark.command()
@click.option(
    "--model-dir",
    metavar="DIR",
    default="runs/demo/serving_models/recommender",
    show_default=True,
    help="Directory of numbered versions; the newest is measured.",
)
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


def _numbers(option: str, text: str) -> list[int]:
    numbers = text.split(",")
    if not all(number.strip().isdecimal() and int(number) > 0 for number in numbers):
        raise UserError(f"{option} {text}: expected numbers, as in 10000,100000")
    return [int(number) for number in numbers]


@benchmark.command("pipeline")
@click.option(
    "--interactions", default="1000000,10000000", show_default=True, metavar="N,N,…", help="Of the data sets, rising."
)
@click.option("--movies", default=20_000, show_default=True, type=click.IntRange(min=20), help="Of each data set.")
@click.option(
    "--output", metavar="DIR", default="runs/benchmark-pipeline", show_default=True, help="For data and runs."
)
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as for `run`.")
def pipeline_(interactions, movies, output, json_file, overrides) -> None:
    """Measure every component's seconds and memory on generated data of several sizes, and with two Beam workers.

    The Trainers train for one epoch, unless --set says otherwise. The full sizes take some three hours on two
    processors; ratios of smaller ones, as 100000,1000000, tell nearly the same. Started again with the same --output,
    it goes on where it was stopped; another --output measures everything anew.
    """
    from benchmarks.scale.pipeline import run

    run(_numbers("--interactions", interactions), movies, overrides, output, json_file, Console())


@benchmark.command()
@click.option("--config", "config_name", metavar="NAME|FILE", help="A configuration, as for `run`.")
@click.option("--data", metavar="DIR|EDITION", help="Data, as for `run`.")
@click.option("--epochs", default=3, show_default=True, type=click.IntRange(min=2), help="Of our loop.")
@click.option("--steps", default=3, show_default=True, type=click.IntRange(min=1), help="Of the tutorial's.")
@click.option("--output", metavar="DIR", default="runs/benchmark-training", show_default=True, help="For the run.")
@click.option("--json", "json_file", metavar="FILE", help="Also write the figures to this file.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as for `run`.")
def training(config_name, data, epochs, steps, output, json_file, overrides) -> None:
    """Compare the retrieval Trainer's examples a second with those of the TFRS tutorial's loop, metrics included."""
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


@cli.command()
@click.option("--output", metavar="DIR", default="runs/demo", show_default=True, help="Where everything goes.")
def demo(output) -> None:
    """The main job on built-in data, then the same questions over REST and over gRPC."""
    from pipeline.jobs import run_demo

    if not run_demo(output, Console())["blessed"]:
        sys.exit(_NOT_BLESSED)


cli.add_command(kubeflow)


def main() -> None:
    """Entry point: an error that was foreseen is one line on stderr."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reports missing GPUs as errors.
    warnings.filterwarnings("ignore", module=r"google\.")  # Warns of this Python and this gRPC in every process.
    try:
        cli(standalone_mode=False)
    except (UserError, RunError, ServingError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, UserError) else 1)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
