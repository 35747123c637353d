"""Starts runs on a Kubeflow Pipelines host, through KFP's own client."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click
import yaml

from models.errors import UserError
from pipeline.errors import RunError

EXPERIMENT = "recommender"
KFP_NAMESPACE = "kubeflow"  # Where KFP is, and where steps run where it serves one user.
_MOST_LISTED = 100
_REMEDY = (
    "Is it up, and is that its address? From outside a cluster: kubectl port-forward -n kubeflow "
    "svc/ml-pipeline-ui 8080:80, and --host http://localhost:8080"
)


class Host(NamedTuple):
    """Where runs go.

    Attributes:
      address: URL of the API or the UI; None: not given.
      namespace: the user's, where KFP is set up for several users; None otherwise.
    """

    address: str | None
    namespace: str | None


class Job(NamedTuple):
    """What is to run.

    Attributes:
      spec_file: the compiled pipeline.
      parameters: `name=value` strings.
      pipeline_root: where artifacts go; None: KFP's default.
      service_account: that the steps run as; None: KFP's default.
    """

    spec_file: str
    parameters: Sequence[str]
    pipeline_root: str | None
    service_account: str | None


def submit(host: Host, job: Job) -> str:
    """Starts a run; returns its id.

    Raises:
      UserError: no host, no such file, or parameters that do not fit the pipeline.
      RunError: the host does not answer, or refuses.
    """
    values = _parameters(job)
    with connected(host) as client:
        experiment = client.create_experiment(EXPERIMENT, namespace=host.namespace)
        run = client.run_pipeline(experiment.experiment_id, EXPERIMENT, params=values, **_common(job))
    return run.run_id


def schedule(host: Host, job: Job, cron: str) -> tuple[str, list[str]]:
    """Starts a run again and again. Errors as of `submit`.

    Args:
      host: where.
      job: what. One run at a time; those that were missed are not made up for.
      cron: five fields, or six of which the first are seconds, in the server's time.

    Returns:
      The recurring run's id, and those of others that are enabled.
    """
    values = _parameters(job)
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise UserError(f"--cron {cron!r}: expected five fields, as in '0 3 * * *' for three o'clock every night")
    six = " ".join(fields if len(fields) == 6 else ["0", *fields])
    with connected(host) as client:
        experiment = client.create_experiment(EXPERIMENT, namespace=host.namespace)
        present = client.list_recurring_runs(experiment_id=experiment.experiment_id, page_size=_MOST_LISTED)
        recurring = client.create_recurring_run(
            experiment.experiment_id,
            EXPERIMENT,
            cron_expression=six,
            max_concurrency=1,
            no_catchup=True,
            params=values,
            **_common(job),
        )
    others = [one.recurring_run_id for one in present.recurring_runs or [] if one.status == "ENABLED"]
    return recurring.recurring_run_id, others


def unschedule(host: Host, recurring_run_id: str) -> None:
    """Disables a recurring run; one that is under way goes on. Errors as of `submit`."""
    with connected(host) as client:
        client.disable_recurring_run(recurring_run_id)


def _common(job: Job) -> dict[str, Any]:
    return {
        "pipeline_package_path": job.spec_file,
        "pipeline_root": job.pipeline_root,
        "service_account": job.service_account,
    }


def _parameters(job: Job) -> dict[str, Any]:
    """The parameters with the types that the pipeline declares."""
    if not job.spec_file.endswith((".yaml", ".yml")):
        raise UserError(f"{job.spec_file}: KFP's client takes files whose names end with .yaml")
    try:
        with open(job.spec_file, encoding="utf-8") as file:
            declared = next(yaml.safe_load_all(file))["root"]["inputDefinitions"]["parameters"]
    except FileNotFoundError as error:
        raise UserError(f"{job.spec_file}: no such file. Make it with `recommender kubeflow compile`") from error
    except (yaml.YAMLError, KeyError, TypeError, StopIteration, UnicodeDecodeError) as error:
        raise UserError(f"{job.spec_file} is not a pipeline from `recommender kubeflow compile`") from error
    values: dict[str, Any] = {}
    for given in job.parameters:
        name, equals, text = given.partition("=")
        if not equals or name not in declared:
            raise UserError(f"--param {given}: expected NAME=VALUE with one of {', '.join(declared)}")
        try:
            values[name] = int(text) if declared[name]["parameterType"] == "NUMBER_INTEGER" else text
        except ValueError:
            raise UserError(f"--param {given}: {name} has to be a whole number") from None
    missing = [name for name, one in declared.items() if "defaultValue" not in one and name not in values]
    if missing:
        raise UserError(f"{job.spec_file} has no default for {', '.join(missing)}: give --param {missing[0]}=…")
    return values


@contextlib.contextmanager
def connected(host: Host) -> Iterator[Any]:
    """KFP's client, whose errors become ours: see `submit`."""
    if not host.address:
        raise UserError("no Kubeflow Pipelines host: give --host URL, or set KFP_HOST")
    import kfp_server_api
    import urllib3

    with warnings.catch_warnings(), contextlib.redirect_stdout(click.get_text_stream("stderr")):
        warnings.simplefilter("ignore", FutureWarning)
        import kfp.client

        try:
            yield kfp.client.Client(host=host.address, namespace=host.namespace or KFP_NAMESPACE)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", error)
            raise RunError(f"--host {host.address} does not answer ({type(reason).__name__}). {_REMEDY}") from error
        except kfp_server_api.ApiException as error:
            raise RunError(_refusal(host, error)) from error
        except (AttributeError, TypeError, ValueError, TimeoutError) as error:
            raise RunError(f"--host {host.address} does not answer as Kubeflow Pipelines does. {_REMEDY}") from error


def _refusal(host: Host, error: Any) -> str:
    try:
        message = json.loads(error.body)["message"]
    except (ValueError, KeyError, TypeError):
        message = error.reason
    said = f"--host {host.address} refuses ({error.status}): {message}"
    if error.status in (401, 403) or "namespace" in message.lower():
        return (
            f"{said}. Where KFP serves several users, give --namespace with the profile's namespace, in which you may "
            "create runs (kubectl get namespaces); where it serves one, leave it out"
        )
    return said
