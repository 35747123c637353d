"""MLMD's database for several processes."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from tfx.orchestration import metadata

from components import locks


class TakingTurns(metadata.Metadata):
    """A connection to a SQLite file that waits until no other one of this class is open in its directory.

    MLMD takes no turns: a process that finds the file locked sleeps for seconds before it looks again.
    """

    def __enter__(self) -> TakingTurns:
        if not self._users:
            self._turn = contextlib.ExitStack()
            self._turn.enter_context(locks.held(os.path.dirname(self.connection_config.sqlite.filename_uri)))
        try:
            super().__enter__()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._leave()

    def _leave(self) -> None:
        if not self._users:
            self._turn.close()
