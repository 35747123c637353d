"""MLMD's database for several processes."""

import threading

from pipeline.local.database import TakingTurns
from pipeline.outputs import connection


def test_a_connection_waits_until_no_other_one_is_open(tmp_path):
    first, second = (TakingTurns(connection(str(tmp_path))) for _ in range(2))
    entered, left = threading.Event(), threading.Event()

    def enter():
        with second as database:
            assert database.store.get_executions() == []
            entered.set()
        left.set()

    with first:
        with first as again:
            assert again.store.get_executions() == []
        other = threading.Thread(target=enter)
        other.start()
        assert not entered.wait(0.5), "within the first one, entered twice and left once"
    assert left.wait(60) and entered.is_set()
    other.join()
    with first as database:
        assert database.store.get_executions() == []
