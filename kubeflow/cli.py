"""The `recommender kubeflow` commands. What takes long to import is imported inside them."""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path

import click
from rich.console import Console


@click.group()
def kubeflow() -> None:
    """Run the pipeline on Kubeflow Pipelines v2.

    \b
    recommender kubeflow compile --config shop.yaml --image REGISTRY/recommender-pipeline:1 \\
        --data 's3://shop/{span}' --push-destination s3://recommender/models/recommender
    recommender kubeflow submit --host URL --param span=2026-11-24 --param retrieval_epochs=8
    recommender kubeflow schedule --host URL --cron '0 3 * * *'
    recommender kubeflow unschedule --host URL RECURRING_RUN_ID
    recommender kubeflow status --host URL RUN_ID --follow
    recommender kubeflow runs --host URL

    From an empty cluster to a served model: docs/kubeflow.md.
    """


@kubeflow.command("compile")
@click.option("--config", "config_name", metavar="NAME|FILE", default="movielens-csv", show_default=True)
@click.option("--output", metavar="FILE", default="pipeline.yaml", show_default=True, help="Where the pipeline goes.")
@click.option("--image", metavar="IMAGE", help="That every step runs in, from kubeflow/Dockerfile.")
@click.option(
    "--data",
    metavar="LOCATION",
    help="Default of the parameter `data`: gs:// or s3://, with {span} where the span's name goes.",
)
@click.option("--push-destination", metavar="LOCATION", help="Default of the parameter `push_destination`.")
@click.option("--set", "overrides", metavar="KEY=VALUE", multiple=True, help="A value, as in kubeflow.gpus=1.")
def compile_(config_name, output, image, data, push_destination, overrides) -> None:
    """Write the whole pipeline as KFP v2 IR.

    Its run-time parameters are data, span, window, push_destination, rejected_rows, retrieval_epochs, ranking_epochs
    and thresholds (JSON, merged over evaluation.thresholds). Those of --data and --push-destination that are left out
    here have to be given with each run. Resources, retries, GPUs and Beam's runner are in the section `kubeflow` of the
    configuration.
    """
    from models.errors import UserError
    from pipeline.config import load_config

    config = load_config(config_name, overrides, kubeflow__image=image)
    if config.data.generated:
        raise UserError(f"configuration {config_name} generates its data, which steps on a cluster cannot share")
    if Path(output).suffix not in (".yaml", ".yml"):
        raise UserError(f"--output {output}: the name has to end in .yaml: KFP tells the format by it")
    from kubeflow.compile import Locations, compile_pipeline, to_yaml

    text = to_yaml(compile_pipeline(config, Locations(data, push_destination)))
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {output}: {error.strerror}") from error
    click.echo(f"Wrote {output}, whose steps run in {config.kubeflow.image}")


def _host(command):
    """Options of the commands that talk to a host, as one argument."""

    @click.option("--host", "address", metavar="URL", envvar="KFP_HOST", show_envvar=True, help="Kubeflow Pipelines.")
    @click.option("--namespace", metavar="NAME", help="Yours, where KFP serves several users.")
    @functools.wraps(command)
    def with_host(address, namespace, **options):
        from kubeflow.client import Host

        return command(Host(address, namespace), **options)

    return with_host


def _job(command):
    """Options that describe a run, as one argument."""

    @click.option("--pipeline", metavar="FILE", default="pipeline.yaml", show_default=True, help="What was compiled.")
    @click.option("--param", "parameters", metavar="NAME=VALUE", multiple=True, help="A run-time parameter.")
    @click.option("--pipeline-root", metavar="LOCATION", help="gs:// or s3://, for artifacts.  [default: KFP's own]")
    @click.option("--service-account", metavar="NAME", help="That the steps run as.  [default: KFP's own]")
    @functools.wraps(command)
    def with_job(host, pipeline, parameters, pipeline_root, service_account, **options):
        from kubeflow.client import Job

        return command(host, Job(pipeline, parameters, pipeline_root, service_account), **options)

    return with_job


@kubeflow.command()
@_host
@_job
def submit(host, job) -> None:
    """Start a run of a compiled pipeline."""
    from kubeflow import client

    run_id = client.submit(host, job)
    click.echo(f"Run {run_id}. Follow it with: recommender kubeflow status {run_id}")


@kubeflow.command()
@_host
@_job
@click.option("--cron", metavar="CRON", required=True, help="When, as in '0 3 * * *': at three every night.")
def schedule(host, job, cron) -> None:
    """Start a run again and again. Each takes the latest span there is, unless --param span=NAME fixes one.

    A recurring run keeps the pipeline that it was made with: schedule what has changed, and unschedule the former.
    """
    from kubeflow import client

    recurring_run_id, others = client.schedule(host, job, cron)
    click.echo(f"Recurring run {recurring_run_id}")
    for other in others:
        click.echo(f"Still enabled: {other}. To stop it: recommender kubeflow unschedule {other}", err=True)


@kubeflow.command()
@click.argument("recurring_run_id")
@_host
def unschedule(host, recurring_run_id) -> None:
    """Stop a recurring run. A run that is under way goes on."""
    from kubeflow import client

    client.unschedule(host, recurring_run_id)


@kubeflow.command()
@click.argument("run_id")
@_host
@click.option("--follow", is_flag=True, help="Look again every few seconds, until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print it for programs, with --follow once it has ended.")
def status(host, run_id, follow, as_json) -> None:
    """Show a run: each step's state, why one failed, and what the run came to. Exit status 1 if it failed."""
    from kubeflow import show

    shown = show.follow if follow else show.once
    run = shown(host, run_id, Console(quiet=as_json))
    if as_json:
        click.echo(json.dumps(run.as_dict(), indent=2))
    if run.ended and not run.succeeded:
        sys.exit(1)


@kubeflow.command()
@_host
@click.option("--last", type=click.IntRange(min=1, max=200), default=20, show_default=True, help="So many, the newest.")
def runs(host, last) -> None:
    """List the runs: state, span, verdict and what was pushed."""
    from kubeflow import show

    show.runs(host, last, Console())
