"""Shows on the console which component runs, how long each took, and what the trainers report."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from ml_metadata.proto import metadata_store_pb2
from rich.console import Console
from tfx.orchestration.portable import launcher


class Progress(logging.Handler):
    """Follows a run of LocalDagRunner.

    Attributes:
      seconds: of each component that has finished, by its id.
      cached: ids of those whose earlier outputs were used.
      running: id of the component that runs, or ran last.
    """

    def __init__(self, components: list[str], console: Console):
        super().__init__(logging.INFO)
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self.running: str | None = None
        self._components = components
        self._console = console

    @contextlib.contextmanager
    def following(self) -> Iterator[None]:
        """While this is entered, every component that is launched is shown and timed."""
        launch = launcher.Launcher.launch
        messages = logging.getLogger("recommender.progress")

        def launch_and_show(one: launcher.Launcher):
            started = self._start(one)
            info = launch(one)
            self._finish(one, info, time.monotonic() - started)
            return info

        # LocalDagRunner has no hook. It logs each component, but TensorFlow mutes that logger half-way.
        launcher.Launcher.launch = launch_and_show
        messages.setLevel(logging.INFO)
        messages.addHandler(self)
        try:
            yield
        finally:
            launcher.Launcher.launch = launch
            messages.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Shows a message of a trainer."""
        self._show(f"        {record.getMessage()}")

    def _start(self, one: launcher.Launcher) -> float:
        self.running = one._pipeline_node.node_info.id
        number = self._components.index(self.running) + 1
        self._show(f"[{number:2d}/{len(self._components)}] {self.running}")
        return time.monotonic()

    def _finish(self, one: launcher.Launcher, info, seconds: float) -> None:
        with one._mlmd_connection as metadata:
            (execution,) = metadata.store.get_executions_by_id([info.execution_id])
        reused = execution.last_known_state == metadata_store_pb2.Execution.CACHED
        if reused:
            self.cached.append(self.running)
        self.seconds[self.running] = round(seconds, 1)
        self._show(f"        {'reused' if reused else 'done'} in {seconds:.1f} s")

    def _show(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
