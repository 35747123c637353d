"""What Argo Workflows does with a task whose attempt has failed, as its controller's `processNodeRetries`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

# How an attempt ended: its process failed or was killed, as for memory; its pod was deleted or evicted.
FAILED, ERROR = "Failed", "Error"
# Argo's `retryPolicy`, which is not the task's: KFP 2.17's default, KFP's before, and what a cluster's owner can say.
ON_ERROR, ON_FAILURE, ALWAYS = "OnError", "OnFailure", "Always"
_RETRIED = {ON_ERROR: {ERROR}, ON_FAILURE: {FAILED}, ALWAYS: {FAILED, ERROR}}


class Attempt(NamedTuple):
    """One that did not succeed: how it ended, and when it was, in seconds."""

    phase: str
    started: float
    ended: float


class Retries(NamedTuple):
    """What KFP makes of a task's `retryPolicy`, in which a duration that is not given is 0."""

    limit: int
    wait: float
    factor: float
    max_duration: float
    policy: str

    @classmethod
    def of(cls, task: dict[str, Any], policy: str) -> Retries:
        """A compiled task's, under Argo's policy."""
        given = task["retryPolicy"]
        seconds = [float(given.get(key, "0s").removesuffix("s")) for key in ("backoffDuration", "backoffMaxDuration")]
        return cls(given["maxRetryCount"], seconds[0], given["backoffFactor"], seconds[1], policy)

    def seconds_to_wait(self, attempts: Sequence[Attempt]) -> float | str:
        """From the end of the last attempt to the next one, or why there is none."""
        last = attempts[-1]
        deadline = attempts[0].started + self.max_duration
        if last.ended > deadline:
            return "Max duration limit exceeded"
        wait = self.wait * self.factor ** (len(attempts) - 1)
        if last.ended + wait > deadline:
            return "Backoff would exceed max duration limit"
        if last.phase not in _RETRIED[self.policy]:
            return f"{last.phase} is not retried"
        if len(attempts) > self.limit:
            return "No more retries left"
        return wait
