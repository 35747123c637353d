"""What has become of runs: their steps, what failed and why, and what they came to."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from kubeflow import metadata
from kubeflow.client import EXPERIMENT, KFP_NAMESPACE, Host, connected
from kubeflow.nodes import ENDED, FAILED, StepState, step_states
from pipeline.history import PUSHED, REFUSED

_SUCCEEDED = "SUCCEEDED"
_OF_THE_LAUNCHER = re.compile(r'[IWEF]\d{4} \d\d:\d\d:\d\d|time="')  # How KFP's and Argo's own lines begin.


class Failure(NamedTuple):
    """A step that failed: the last line that it printed and the command that shows all, None where not known."""

    step: str
    line: str | None
    command: str | None


class Run(NamedTuple):
    """A run as KFP and its metadata have it.

    Attributes:
      run_id: KFP's.
      name: what people see.
      state: KFP's word for it.
      started: when it was submitted.
      seconds: until its end, or until now.
      steps: in the pipeline's order.
      failures: of the steps that failed.
      figures: what the Reporter has found: `blessed`, `pushed_version`, …; {} as long as it has not.
    """

    run_id: str
    name: str
    state: str
    started: datetime.datetime
    seconds: float
    steps: Sequence[StepState]
    failures: Sequence[Failure]
    figures: dict[str, Any]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    @property
    def succeeded(self) -> bool:
        """Whether all steps did their work, whatever the verdict."""
        return self.state == _SUCCEEDED

    @property
    def verdict(self) -> str | None:
        """`PUSHED` or `REFUSED`; None as long as there is none."""
        if "blessed" not in self.figures:
            return None
        return PUSHED if self.figures["blessed"] else REFUSED

    @property
    def span(self) -> str:
        """The newest delivery that was read; "" where that is not known, or the data has no spans."""
        return str(self.figures.get("span", ""))

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "run_id": self.run_id,
            "name": self.name,
            "state": self.state,
            "started": self.started.isoformat(),
            "seconds": self.seconds,
            "steps": [step._asdict() | {"started": step.started and step.started.isoformat()} for step in self.steps],
            "failures": [failure._asdict() for failure in self.failures],
            "verdict": self.verdict,
            "figures": self.figures,
        }


def read(host: Host, run_id: str) -> Run:
    """A run with its steps. Errors as of `client.submit`."""
    with connected(host) as client:
        run, recorded = client.get_run(run_id), _recorded(client, run_id)
        steps = step_states(run, _now())
        failed = [step for step in steps if step.state == FAILED]
        pods = {step.name: recorded.pods[step.name] for step in failed if step.name in recorded.pods}
        lines = {name: _last_line(client, run_id, pod) for name, pod in pods.items()}
    namespace = host.namespace or KFP_NAMESPACE
    failures = [
        Failure(step.name, lines.get(step.name), _command(step, pods.get(step.name), namespace)) for step in failed
    ]
    return _run(run, steps, failures, recorded.figures)


def latest(host: Host, number: int) -> list[Run]:
    """The newest runs, the oldest first, without their steps. Errors as of `client.submit`."""
    with connected(host) as client:
        try:
            experiment = client.get_experiment(experiment_name=EXPERIMENT, namespace=host.namespace)
        except ValueError:  # There is none before the first run.
            return []
        found = client.list_runs(
            experiment_id=experiment.experiment_id, sort_by="created_at desc", page_size=number
        ).runs
        figures = [_recorded(client, run.run_id).figures for run in found or ()]
    return [_run(run, (), (), of_run) for run, of_run in zip(found or (), figures, strict=True)][::-1]


def _run(run: Any, steps: Sequence[StepState], failures: Sequence[Failure], figures: dict[str, Any]) -> Run:
    until = run.finished_at if run.state in ENDED else _now()
    return Run(
        run.run_id,
        run.display_name,
        run.state,
        run.created_at,
        (until - run.created_at).total_seconds(),
        steps,
        failures,
        figures,
    )


def _command(step: StepState, pod: str | None, namespace: str) -> str | None:
    """What shows a step's log. A pod of unknown name is found by its end, which is that of the node's id."""
    if pod is None:
        if step.node is None:
            return None
        end = step.node.rpartition("-")[2]
        pod = f"$(kubectl get pods --namespace {namespace} --output name | grep -- -{end}$)"
    return f"kubectl logs --namespace {namespace} --container main {pod}"


def _last_line(client: Any, run_id: str, pod: str) -> str | None:
    """What a step's process printed last, while KFP still has its log."""
    import kfp_server_api

    try:
        log = _request(client, "GET", f"/apis/v1beta1/runs/{run_id}/nodes/{pod}/log").decode(errors="replace")
    except kfp_server_api.ApiException:
        return None
    lines = [line.strip() for line in log.splitlines() if line.strip() and not _OF_THE_LAUNCHER.match(line)]
    return lines[-1] if lines else None


def _recorded(client: Any, run_id: str) -> metadata.Recorded:
    """What ML Metadata has of a run. An address of KFP's API alone, without its page, does not have that."""
    import kfp_server_api

    try:
        return metadata.read(run_id, functools.partial(_request, client, "POST"))
    except (ValueError, kfp_server_api.ApiException):
        return metadata.Recorded()


def _request(client: Any, method: str, path: str, body: bytes | None = None, content: str = "") -> bytes:
    """Asks the host for what KFP's client has no method for, with that client's credentials."""
    answer = client._run_api.api_client.call_api(
        path,
        method,
        body=body,
        header_params={"Content-Type": content} if content else None,
        auth_settings=["Bearer"],
        _preload_content=False,
        _return_http_data_only=True,
    )
    return answer.data


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
