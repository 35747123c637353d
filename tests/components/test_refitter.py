"""What a refitted model is held to."""

import numpy as np
import pytest

from components.refitter.guard import kept_share


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ([[b"a", b"b"]], [[b"b", b"a"]], 1),
        ([[b"a", b"b"], [b"c", b"d"]], [[b"a", b"x"], [b"c", b"d"]], 0.75),
        ([[b"a", b""]], [[b"x", b""]], 0),
        ([[b"", b""]], [[b"", b""]], 0),
        ([], [], 1),
    ],
)
def test_the_share_of_a_list_that_is_kept_is_over_the_users(before, after, share):
    assert kept_share(np.array(before, object), np.array(after, object)) == share
