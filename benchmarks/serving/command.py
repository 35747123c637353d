"""`recommender benchmark serving`: what a request costs, through a real server and without one."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import requests
from rich.console import Console
from rich.table import Table

from benchmarks.serving.in_process import index_in_a_servable, signature_calls
from benchmarks.serving.load import run_load
from benchmarks.serving.served import PROTOCOLS, USERS, newest, process_of
from benchmarks.targets import Target, print_targets
from serving.process import running_server

_CLIENTS = (1, 8, 32)
_TARGETS = (  # Of the values of `_ratios`, in order.
    Target("gRPC at 32 clients ÷ in-process, requests a second", True, 2.0),
    Target("REST at 32 clients ÷ in-process, requests a second", True, 1.0),
    Target("gRPC p99 at 8 clients ÷ in-process median", False, 10.0),
    Target("REST p99 at 8 clients ÷ in-process median", False, 10.0),
    Target("seconds until the server is ready", False, 10.0),
    Target("memory after all requests ÷ before", False, 1.05),
)


def run(
    model_dir: str, seconds: float, soak: int, candidates: Sequence[int], json_file: str | None, console: Console
) -> None:
    """Measures and prints tables.

    Args:
      model_dir: directory of numbered versions; the newest is measured.
      seconds: for each measurement, about.
      soak: requests after which the memory is looked at again.
      candidates: sizes of the catalogues that the index is measured on.
      json_file: where the figures go as well.

    Raises:
      ServingError: no model there, the server does not start, or requests failed.
    """
    path = newest(model_dir)
    console.print(f"Model {path}; {os.cpu_count()} processors, which the load generator shares")
    figures: dict[str, Any] = {"in_process": {}, "served": {}, "index": {}}
    for batch in (1, 64):
        found = signature_calls(path, USERS, batch, seconds)
        figures["in_process"][batch] = {
            "p50": float(np.median(found)),
            "p99": float(np.percentile(found, 99)),
            "rows_per_second": batch * 1000 / float(np.mean(found)),
        }
    _serve(path, seconds, soak, figures, console)
    _print_requests(figures, console)
    with tempfile.TemporaryDirectory() as directory:
        for size in candidates:
            console.print(f"Index over {size:,} candidates …")
            figures["index"][size] = index_in_a_servable(size, seconds, os.path.join(directory, str(size)))
    _print_index(figures["index"], console)
    print_targets(_ratios(figures), console)
    if json_file:
        Path(json_file).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _serve(path: str, seconds: float, soak: int, figures: dict[str, Any], console: Console) -> None:
    started = time.perf_counter()
    with running_server({1: path}) as ports:
        figures["ready_seconds"] = time.perf_counter() - started
        server = process_of(ports)
        addresses = dict(zip(PROTOCOLS, ports, strict=True))
        per_second = figures["in_process"][1]["rows_per_second"]
        for protocol, port in addresses.items():
            run_load(protocol, port, USERS, max(_CLIENTS), 500)
            for clients in _CLIENTS:
                console.print(f"{protocol}, {clients} clients …")
                load = run_load(protocol, port, USERS, clients, max(200, int(seconds * per_second)))
                figures["served"][f"{protocol} {clients}"] = load._asdict()
        if soak:
            console.print(f"{soak:,} more requests, for the memory …")
            before = server.memory_info().rss
            for protocol, port in addresses.items():
                run_load(protocol, port, USERS, max(_CLIENTS), max(1, soak // 2))
            figures["memory"] = {"requests": soak, "before": before, "after": server.memory_info().rss}
        metrics = requests.get(f"http://127.0.0.1:{ports.rest}/monitoring/prometheus/metrics", timeout=10).text
        values = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if "processed_batch_size_" in line)
        rows, batches = (
            float(values[f":tensorflow:serving:batching:processed_batch_size_{of}"]) for of in ("sum", "count")
        )
        figures["mean_batch"] = rows / batches


def _ratios(figures: dict[str, Any]) -> list[tuple[Target, float]]:
    """What was measured of what has a target."""
    alone, served = figures["in_process"][1], figures["served"]
    values = [served[f"{name} 32"]["requests_per_second"] / alone["rows_per_second"] for name in PROTOCOLS]
    values += [served[f"{name} 8"]["p99"] / alone["p50"] for name in PROTOCOLS]
    values.append(figures["ready_seconds"])
    if "memory" in figures:
        values.append(figures["memory"]["after"] / figures["memory"]["before"])
    return list(zip(_TARGETS, values, strict=False))


def _print_requests(figures: dict[str, Any], console: Console) -> None:
    table = Table("one user a request", "p50 ms", "p99 ms", "a second", title="Requests", title_justify="left")
    for batch, found in figures["in_process"].items():
        what = f"in-process, batch {batch}" + (" (rows a second)" if batch > 1 else "")
        table.add_row(what, f"{found['p50']:.2f}", f"{found['p99']:.2f}", f"{found['rows_per_second']:.0f}")
    for name, load in figures["served"].items():
        protocol, clients = name.split()
        row = [f"{load[key]:.2f}" for key in ("p50", "p99")]
        table.add_row(f"{protocol}, {clients} clients", *row, f"{load['requests_per_second']:.0f}")
    console.print(table)
    console.print(f"Rows in a batch of the server, on average: {figures['mean_batch']:.1f}")


def _print_index(figures: dict[int, dict], console: Console) -> None:
    columns = ("candidates", "index", "build s", "recall@100", "index ms", "brute force ms", "speed-up")
    table = Table(*columns, title="Search in a servable, one query", title_justify="left")
    for size, found in figures.items():
        index, brute_force = found["index_milliseconds"], found["brute_force_milliseconds"]
        numbers = [
            f"{found['build_seconds']:.1f}",
            f"{found['recall_at_100']:.4f}",
            f"{index:.2f}",
            f"{brute_force:.2f}",
        ]
        table.add_row(f"{size:,}", found["kind"], *numbers, f"{brute_force / index:.1f}")
    console.print(table)
