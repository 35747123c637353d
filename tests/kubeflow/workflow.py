"""What KFP 2.17's API tells of a run's steps: the nodes of its Argo workflow, as seen on a cluster."""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

WORKFLOW = "recommender-x7x2p"
_FNV_OFFSET, _FNV_PRIME = 0x811C9DC5, 0x01000193
_NEVER = "0001-01-01T00:00:00Z"  # Go's zero time.


class Step(NamedTuple):
    """What happened to a step, by KFP's words for it.

    Attributes:
      attempts: states of the attempts of its process; none: it was taken from the cache.
      began: minutes after three o'clock.
      minutes: until its end; None: it is under way.
      begun: False: only its driver was there so far.
    """

    attempts: tuple[str, ...] = ("SUCCEEDED",)
    began: int = 0
    minutes: int | None = 1
    begun: bool = True


def node_id(path: str) -> str:
    """Argo's id of a node."""
    value = _FNV_OFFSET
    for byte in path.encode():
        value = (value ^ byte) * _FNV_PRIME % 2**32
    return f"{WORKFLOW}-{value}"


def pod_name(step: str, attempt: int = 0) -> str:
    """Argo's name of the pod of an attempt."""
    number = node_id(f"{_path(step)}(0).executor({attempt})").rpartition("-")[2]
    return f"{WORKFLOW}-retry-system-container-impl-{number}"


def _path(step: str) -> str:
    return f"{WORKFLOW}(0).root(0).{step}"


class _Nodes:
    def __init__(self):
        self.details: dict[str, dict[str, Any]] = {}

    def add(self, path: str, name: str | None, state: str | None, step: Step, children: list[str]) -> None:
        ended = state not in (None, "RUNNING") and step.minutes is not None
        detail = {
            "run_id": "r-1",
            "task_id": str(uuid.uuid5(uuid.NAMESPACE_URL, path)),
            "create_time": "2026-11-28T03:00:00Z",
            "start_time": f"2026-11-28T03:{step.began:02d}:00Z",
            "end_time": f"2026-11-28T03:{step.began + step.minutes:02d}:00Z" if ended else _NEVER,
            "child_tasks": [{"pod_name": node_id(child)} for child in children],
        }
        if name is not None:
            detail["display_name"] = name
        if state is not None:
            detail["state"] = state
        self.details[node_id(path)] = detail

    def add_retried(self, path: str, name: str, state: str, step: Step, children: list[str]) -> None:
        """A node that Argo retries by default, and its only child."""
        self.add(path, name, state, step, [f"{path}(0)"])
        self.add(f"{path}(0)", f"{name}(0)", state, step, children)


def details(steps: dict[str, Step]) -> list[dict[str, Any]]:
    """`task_details`, in the order of Argo's ids, as the API server sorts them."""
    nodes, whole = _Nodes(), Step(minutes=None)
    nodes.add_retried(WORKFLOW, WORKFLOW, "RUNNING", whole, [f"{WORKFLOW}(0).root-driver"])
    nodes.add_retried(f"{WORKFLOW}(0).root-driver", "root-driver", "SUCCEEDED", Step(), [f"{WORKFLOW}(0).root"])
    nodes.add_retried(f"{WORKFLOW}(0).root", "root", "RUNNING", whole, [])
    nodes.add(f"{WORKFLOW}.onExit", None, None, whole, [])
    for name, step in steps.items():
        path = _path(name)
        driver = "SUCCEEDED" if step.begun else "RUNNING"
        nodes.add_retried(f"{path}-driver", f"{name}-driver", driver, step, [path])
        if not step.begun:
            continue
        if not step.attempts:
            nodes.add(path, name, "SKIPPED", step, [])
            continue
        state = step.attempts[-1]
        executor = f"{path}(0).executor"
        nodes.add_retried(path, name, state, step, [executor])
        nodes.add(executor, "executor", state, step, [f"{executor}({n})" for n in range(len(step.attempts))])
        for number, attempt in enumerate(step.attempts):
            nodes.add(f"{executor}({number})", f"executor({number})", attempt, step, [])
    return [nodes.details[key] for key in sorted(nodes.details)]


def run(state: str, steps: dict[str, Step], spec: dict[str, Any], **others: Any) -> dict[str, Any]:
    """A run as the API answers it; steps that are not named have not begun."""
    answer = {
        "run_id": "r-1",
        "display_name": "recommender",
        "created_at": "2026-11-28T03:00:00Z",
        "state": state,
        "pipeline_spec": {"pipeline_spec": spec},
        "run_details": {"task_details": details(steps)},
    }
    if state in ("SUCCEEDED", "FAILED", "CANCELED"):
        answer["finished_at"] = "2026-11-28T03:10:00Z"
    return answer | others
