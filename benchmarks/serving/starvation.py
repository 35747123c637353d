"""`recommender benchmark starvation`: what valid requests wait for while hostile clients attack the same server."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.serving.attacks import attack
from benchmarks.serving.load import run_load
from benchmarks.serving.served import PROTOCOLS, USERS, newest, process_of
from benchmarks.targets import Target, print_targets
from serving.process import Ports, running_server

_CLIENTS = 2  # Valid ones, so that the quiet server is not busy.
_SETTLE_SECONDS = 2.0
_RECOVER_SECONDS = 20.0
_TARGETS = (
    Target("gRPC p99 under attack ÷ quiet", False, 5.0),
    Target("REST p99 under attack ÷ quiet", False, 5.0),
    Target("memory 20 s after the attacks ÷ before", False, 1.1),
)


def run(model_dir: str, seconds: float, hostile: int, json_file: str | None, console: Console) -> None:
    """Measures and prints tables.

    Args:
      model_dir: directory of numbered versions; the newest is attacked.
      seconds: for each measurement, about.
      hostile: clients that attack, in turn each in one of the ways of `attacks`.
      json_file: where the figures go as well.

    Raises:
      ServingError: no model there, the server does not start or does not live through it, or valid requests failed.
    """
    path = newest(model_dir)
    figures: dict[str, Any] = {"hostile": hostile, "quiet": {}, "attacked": {}}
    with running_server({1: path}) as ports:
        server = process_of(ports)
        _measure(ports, seconds, figures["quiet"], console, "quiet")
        before = _held_bytes(server)
        with _attackers(ports, hostile):
            _measure(ports, seconds, figures["attacked"], console, f"{hostile} hostile clients")
        time.sleep(_RECOVER_SECONDS)
        figures["memory"] = {"before": before, "after": _held_bytes(server)}
    _print(figures, console)
    if json_file:
        Path(json_file).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _measure(ports: Ports, seconds: float, found: dict[str, Any], console: Console, state: str) -> None:
    for protocol, port in zip(PROTOCOLS, ports, strict=True):
        console.print(f"{protocol}, {state} …")
        few = run_load(protocol, port, USERS, _CLIENTS, 200)
        found[protocol] = run_load(
            protocol, port, USERS, _CLIENTS, max(200, int(few.requests_per_second * seconds))
        )._asdict()


@contextlib.contextmanager
def _attackers(ports: Ports, hostile: int) -> Iterator[None]:
    attackers = multiprocessing.get_context("spawn").Process(target=attack, args=(ports, hostile))
    attackers.start()
    time.sleep(_SETTLE_SECONDS)
    try:
        yield
    finally:
        attackers.terminate()
        attackers.join()


def _held_bytes(server: psutil.Process) -> int:
    """Memory of the server and of the processes that read requests for it."""
    return sum(process.memory_info().rss for process in [server, *server.children()])


def _print(figures: dict[str, Any], console: Console) -> None:
    table = Table("one user a request", "p50 ms", "p99 ms", "a second", title="Valid requests", title_justify="left")
    for state in ("quiet", "attacked"):
        for protocol, load in figures[state].items():
            numbers = [f"{load[key]:.2f}" for key in ("p50", "p99")]
            table.add_row(f"{protocol}, {state}", *numbers, f"{load['requests_per_second']:.0f}")
    console.print(table)
    ratios = [figures["attacked"][name]["p99"] / figures["quiet"][name]["p99"] for name in PROTOCOLS]
    ratios.append(figures["memory"]["after"] / figures["memory"]["before"])
    print_targets(list(zip(_TARGETS, ratios, strict=True)), console)
