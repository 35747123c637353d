"""Which failure of a compiled step is tried again, by what the cluster's Argo says."""

import pytest
import yaml

from tests.kubeflow.argo import ALWAYS, ERROR, FAILED, ON_ERROR, ON_FAILURE, Attempt, Retries
from tests.kubeflow.regenerate import GOLDEN


@pytest.fixture(scope="module")
def task():
    """A compiled one: three retries, after 30 seconds that double, within an hour."""
    return next(yaml.safe_load_all(GOLDEN.read_text()))["root"]["dag"]["tasks"]["Trainer-retrieval"]


def after(task, policy, *attempts):
    return Retries.of(task, policy).seconds_to_wait([Attempt(*attempt) for attempt in attempts])


@pytest.mark.parametrize(
    ("policy", "retried"),
    [(ON_ERROR, {ERROR}), (ON_FAILURE, {FAILED}), (ALWAYS, {FAILED, ERROR})],
)
def test_the_cluster_decides_which_failures_are_tried_again(task, policy, retried):
    waits = {phase: after(task, policy, (phase, 0, 600)) for phase in (FAILED, ERROR)}
    assert {phase for phase, wait in waits.items() if wait == 30} == retried
    assert {wait for wait in waits.values() if wait != 30} <= {"Failed is not retried", "Error is not retried"}


def test_the_wait_doubles_until_the_retries_are_used_up(task):
    attempts = [(ERROR, 0, 10), (ERROR, 40, 50), (ERROR, 110, 120), (ERROR, 240, 250)]
    waits = [after(task, ON_ERROR, *attempts[: number + 1]) for number in range(4)]
    assert waits == [30, 60, 120, "No more retries left"]


def test_without_a_maximum_nothing_is_tried_again(task):
    given = {key: value for key, value in task["retryPolicy"].items() if key != "backoffMaxDuration"}
    assert after({"retryPolicy": given}, ALWAYS, (ERROR, 0, 600)) == "Max duration limit exceeded"


def test_the_maximum_counts_from_the_first_attempts_start(task):
    assert after(task, ON_ERROR, (ERROR, 0, 3601)) == "Max duration limit exceeded"
    assert after(task, ON_ERROR, (ERROR, 0, 3580)) == "Backoff would exceed max duration limit"
    assert after(task, ON_ERROR, (ERROR, 0, 10), (ERROR, 40, 3535)) == 60
