"""The state of the pipeline's steps, from what KFP's API tells of a run: Argo's nodes, several for each step.

A step `X` is a node `X-driver`, which looks into the cache, and then a node `X`, which has one called `executor`. Where
the cluster's Argo retries by default, each has children `X(0)`, `X(1)`, …, of which the last one counts. The children
of an `executor` are the attempts of the step's process.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from pipeline.steps import Step

WAITING, RUNNING, SUCCEEDED, CACHED = "waiting", "running", "succeeded", "cached"
FAILED, SKIPPED, CANCELED = "failed", "skipped", "canceled"
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")  # KFP's states of a run.
_STATES = {
    "PENDING": WAITING,
    "RUNNING": RUNNING,
    "PAUSED": RUNNING,
    "CANCELING": RUNNING,
    "SUCCEEDED": SUCCEEDED,
    "SKIPPED": SKIPPED,
    "FAILED": FAILED,
    "CANCELED": CANCELED,
}
_FNV_PRIME = 0x01000193


class StepState(NamedTuple):
    """What became of a step so far.

    Attributes:
      name: the task's.
      state: `WAITING`, …
      started: when its process's pod was asked for; None: not yet, or there is none.
      seconds: from then until its end, or until now; None likewise.
      attempt: which one of its process it is, or was; 0 where there is none.
      node: Argo's id of that attempt, the end of which is the end of the pod's name; None where there is none.
    """

    name: str
    state: str
    started: datetime.datetime | None = None
    seconds: float | None = None
    attempt: int = 0
    node: str | None = None


def step_states(run: Any, now: datetime.datetime) -> list[StepState]:
    """The steps of a run, as KFP's client has it, in the pipeline's order."""
    details = (run.run_details and run.run_details.task_details) or []
    by_name: dict[str, list[Any]] = {}
    for detail in details:
        name, _ = _unnumbered(detail.display_name)
        by_name.setdefault(name, []).append(detail)
    for nodes in by_name.values():
        nodes.sort(key=lambda detail: _unnumbered(detail.display_name)[1])
    attempts = {child: _children(node) for node in by_name.get("executor", ()) for child in _children(node)}
    ended = run.state in ENDED
    return [
        _step_state(name, by_name.get(name, []), by_name.get(f"{name}-driver", []), attempts, ended, now)
        for name in _task_names(run, by_name)
    ]


def _task_names(run: Any, seen: Iterable[str]) -> list[str]:
    """The pipeline's tasks in its order; where the run does not hold its pipeline, those that were seen."""
    spec = run.pipeline_spec or {}
    tasks = spec.get("pipeline_spec", spec).get("root", {}).get("dag", {}).get("tasks", {})
    order = [step.value.replace(".", "-") for step in Step]
    known = [name for name in order if name in (tasks or seen)]
    return [*known, *sorted(tasks.keys() - set(known))]


def _step_state(
    name: str,
    nodes: list[Any],
    drivers: list[Any],
    attempts: dict[str, list[str]],
    ended: bool,
    now: datetime.datetime,
) -> StepState:
    state = _STATES.get(nodes[0].state) if nodes else None
    driver = _STATES.get(drivers[0].state) if drivers else None
    if state == SKIPPED and driver == SUCCEEDED:
        return StepState(name, CACHED)
    if state is None:
        if driver in (RUNNING, FAILED):
            return StepState(name, driver)
        return StepState(name, SKIPPED if ended else WAITING)
    if state in (WAITING, SKIPPED):
        return StepState(name, state)
    started, until = nodes[0].start_time, nodes[0].end_time if state != RUNNING else now
    # Argo takes the pods of a run that was stopped away, and may leave their nodes without an end.
    seconds = (until - started).total_seconds() if started and until and until >= started else None
    made = next((found for node in reversed(nodes) if (found := _attempts(node, attempts))), [])
    return StepState(name, state, started, seconds, len(made), made[-1] if made else None)


def _attempts(node: Any, attempts: dict[str, list[str]]) -> list[str]:
    """Ids of the attempts of the `executor` below a node, the oldest first."""
    for executor in _children(node):
        first = numbered(executor, 0)
        if first in attempts:
            return attempts[first]
    return []


def numbered(node: str, number: int) -> str:
    """The id of a node's child `(number)`.

    The number at the end of an id is the FNV-1a hash of the node's path, and the child's path goes on from there.
    """
    prefix, _, digits = node.rpartition("-")
    value = int(digits) if digits.isdigit() else 0
    for byte in f"({number})".encode():
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFF
    return f"{prefix}-{value}"


def _children(detail: Any) -> list[str]:
    return [child.pod_name or child.task_id for child in detail.child_tasks or ()]


def _unnumbered(name: str | None) -> tuple[str, int]:
    """`X(1)` as `X` and 1; a name without number comes before. Some nodes have no name."""
    match = re.fullmatch(r"(.+)\((\d+)\)", name or "")
    return (match[1], int(match[2])) if match else (name or "", -1)
