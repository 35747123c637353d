"""Runs as the console shows them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kubeflow.client import Host
from kubeflow.nodes import CACHED, CANCELED, FAILED, RUNNING, SKIPPED, SUCCEEDED, WAITING
from kubeflow.runs import Run, latest, read
from pipeline.history import PUSHED, REFUSED
from serving.texts import one_line

_PAUSE_SECONDS = 5.0
_COLOURS = {
    WAITING: "bright_black",
    RUNNING: "yellow",
    SUCCEEDED: "green",
    CACHED: "cyan",
    FAILED: "red",
    SKIPPED: "bright_black",
    CANCELED: "red",
    PUSHED: "green",
    REFUSED: "red",
}


def once(host: Host, run_id: str, console: Console) -> Run:
    """Shows a run as it is now, and returns it. Errors as of `client.submit`."""
    run = read(host, run_id)
    console.print(_page(run))
    return run


def follow(host: Host, run_id: str, console: Console) -> Run:
    """Shows a run, and again what has changed, until it has ended; returns it. Errors as of `client.submit`."""
    with Live(console=console, auto_refresh=False) as screen:
        while True:
            run = read(host, run_id)
            screen.update(_page(run), refresh=True)
            if run.ended:
                return run
            time.sleep(_PAUSE_SECONDS)


def runs(host: Host, number: int, console: Console) -> None:
    """Shows the newest runs, the oldest first. Errors as of `client.submit`."""
    found = latest(host, number)
    if not found:
        console.print("No run yet: `recommender kubeflow submit` starts one.")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("started (UTC)", "run", "state", "span", "verdict", "version"):
        table.add_column(title, no_wrap=True)
    for run in found:
        state = run.state.lower()
        table.add_row(
            f"{run.started:%Y-%m-%d %H:%M}",
            run.run_id,
            Text(state, _COLOURS.get(state, "")),
            run.span or "-",
            Text(run.verdict, _COLOURS[run.verdict]) if run.verdict else "-",
            run.figures.get("pushed_version") or "-",
        )
    console.print(table)


def _page(run: Run) -> RenderableType:
    table = Table(box=None, pad_edge=False, title=Text(f"{run.name}, {run.started:%Y-%m-%d}"), title_justify="left")
    for title in ("step", "state"):
        table.add_column(title, no_wrap=True)
    for title in ("began (UTC)", "took", "attempt"):
        table.add_column(title, justify="right", no_wrap=True)
    for step in run.steps:
        table.add_row(
            step.name,
            Text(step.state, _COLOURS[step.state]),
            f"{step.started:%H:%M:%S}" if step.started else "",
            "" if step.seconds is None else _duration(step.seconds),
            str(step.attempt or ""),
        )
    return Group(table, "", *(Text.from_markup(line, overflow="fold") for line in _lines(run)))


def _lines(run: Run) -> Iterator[str]:
    """What failed, the run's state, and what it came to."""
    for failure in run.failures:
        unknown = (
            "KFP does not have its log" if failure.command else "it did not start: KFP's page has its driver's log"
        )
        said = escape(one_line(failure.line)) if failure.line else unknown
        yield f"[red]{failure.step}[/red]: {said}"
        if failure.command:
            yield f"    {escape(failure.command)}"
    colour = _COLOURS.get(run.state.lower(), "yellow")
    yield f"[{colour}]{run.state.lower()}[/{colour}] {'after' if run.ended else 'for'} {_duration(run.seconds)}"
    if run.verdict == PUSHED:
        yield f"[green]Blessed[/green]: version {run.figures['pushed_version']} was pushed."
    elif run.verdict == REFUSED:
        yield f"[red]Refused, nothing was pushed[/red]: {escape(one_line(run.figures['refused_because']))}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
