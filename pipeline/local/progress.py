"""Shows on the console which components run, how long each took, and what the trainers report."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Progress:
    """What a run has done so far.

    Attributes:
      seconds: of each component that has finished, by its id.
      cached: ids of those whose earlier outputs were used.
    """

    def __init__(self, components: Sequence[str], console: Console):
        self.seconds: dict[str, float] = {}
        self.cached: list[str] = []
        self._components = components
        self._console = console

    def start(self, component: str) -> None:
        """A component starts."""
        number = self._components.index(component) + 1
        self._show(f"[{number:2d}/{len(self._components)}] {component}")

    def tell(self, component: str, message: str) -> None:
        """A component has something to say."""
        self._show(f"        {component}: {message}")

    def finish(self, component: str, reused: bool, seconds: float) -> None:
        """A component has finished."""
        self.seconds[component] = round(seconds, 1)
        if reused:
            self.cached.append(component)
        self.tell(component, f"{'reused' if reused else 'done'} in {seconds:.1f} s")

    def _show(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
