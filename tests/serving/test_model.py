"""A loaded model."""

from concurrent import futures

import numpy as np
import pytest

from serving.server.model import LoadedModel
from tests.serving.conftest import Gate, export


def test_signatures_are_called_for_the_first_time_one_after_the_other(tmp_path):
    """ScaNN makes its searcher at the first use, and not under a lock."""
    export(tmp_path / "1")
    model = LoadedModel(str(tmp_path / "1"), 1)
    a = {"user_id": np.array([b"a"], object)}
    model.run("count", a)
    with futures.ThreadPoolExecutor() as pool, Gate(tmp_path) as gate:
        held = pool.submit(model.run, "hold", {"path": np.array([gate.path.encode()], object)})
        gate.wait_until_reached()
        assert model.run("count", a)["rows"].tolist() == [1], "it has answered before"
        first = pool.submit(model.run, "serving_default", a)
        with pytest.raises(futures.TimeoutError):
            first.result(timeout=0.5)
        gate.open()
        assert first.result()["greeting"].tolist() == [b"hello a"]
        held.result()
