"""MLMD's database for several processes."""

import fcntl
import os

import pytest
from tfx.orchestration import metadata

from pipeline.local.database import TakingTurns
from pipeline.outputs import connection


def is_free(directory):
    """Whether another connection could be opened now."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def test_a_connection_is_the_only_one_until_it_is_left_as_often_as_entered(tmp_path):
    database = TakingTurns(connection(str(tmp_path)))
    for _ in range(2):
        with database as handle:
            assert handle.store.get_executions() == []
            with database as again:
                assert again.store.get_executions() == []
            assert not is_free(tmp_path)
        assert is_free(tmp_path)


def test_a_connection_that_cannot_be_made_is_in_nobodys_way(tmp_path, monkeypatch):
    def fails(self):
        assert not is_free(tmp_path)
        raise RuntimeError("no connection")

    monkeypatch.setattr(metadata.Metadata, "__enter__", fails)
    with pytest.raises(RuntimeError, match="no connection"), TakingTurns(connection(str(tmp_path))):
        pass
    assert is_free(tmp_path)
