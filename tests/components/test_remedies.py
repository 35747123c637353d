"""What is said after a refusal."""

from components.evaluator.settings import DEFAULT_THRESHOLDS
from components.reporter.remedies import remedies


def test_every_threshold_that_is_there_from_the_start_has_a_remedy():
    for name in [*DEFAULT_THRESHOLDS, "served"]:
        assert len(remedies([f"{name}: something is 0.1"])) == 1, name


def test_each_is_said_once_and_one_of_a_persons_own_has_none():
    reasons = ["tail_kept: a", "mine: b", "head_kept: c", "index_recall: d"]
    found = remedies(reasons)
    assert len(found) == 2 and "slice" in found[0] and "index.recall" in found[1]
