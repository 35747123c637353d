"""MLMD's database for several processes."""

from __future__ import annotations

import fcntl
from typing import Any

from tfx.orchestration import metadata


class TakingTurns(metadata.Metadata):
    """A connection to a SQLite file that waits until no other one of this class is open, in whatever process.

    MLMD takes no turns: a process that finds the file locked sleeps for seconds before it looks again. The system lets
    go of the lock when a process ends in whatever way.
    """

    def __enter__(self) -> TakingTurns:
        if not self._users:
            self._lock = open(f"{self.connection_config.sqlite.filename_uri}.lock", "w", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            super().__enter__()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._close()

    def _close(self) -> None:
        if not self._users:
            self._lock.close()
