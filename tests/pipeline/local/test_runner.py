"""What the runner makes of errors."""

import errno
import os

import pytest

from pipeline.errors import RunError
from pipeline.local import runner


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/runs/x/report.tmp"),
        RunError("Pusher failed: ResourceExhaustedError: /runs/x/variables; No space left on device. The log is …"),
        RuntimeError("Failed to establish connection: Error when executing query: database or disk is full"),
    ],
)
def test_a_full_disk_is_one_error_whoever_meets_it(error):
    message = r"^/runs/x: the disk is full.*recommender clean --keep 2 --output /runs/x"
    with pytest.raises(RunError, match=message), runner._full_disk_said("/runs/x"):
        raise error


def test_other_errors_stay_what_they_are():
    with pytest.raises(ValueError, match="something else"), runner._full_disk_said("/runs/x"):
        raise ValueError("something else")
