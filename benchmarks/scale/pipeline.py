"""`recommender benchmark pipeline`: time and memory of every component, as the data grows and with two workers."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.targets import Target, print_targets
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated
from pipeline.errors import RunError
from pipeline.fingerprints import code_fingerprint
from pipeline.steps import ON_BEAM, Step
from pipeline.summary import read_report

# The Evaluator holds the servable, whose tables grow with users and items, and so may its memory.
_DATA_STEPS = [step for step in ON_BEAM if step is not Step.EVALUATOR]
_WAITED_FOR = (Step.INTERACTION_GEN, Step.TRANSFORM, Step.EVALUATOR)  # StatisticsGen and ItemGen run beside Transform.
_EXAMPLES = ((Step.INTERACTION_GEN.value, "examples"), (Step.TRANSFORM.value, "transformed_examples"))
_ONE_EPOCH = ("retrieval.epochs=1", "ranking.epochs=1")
_UNTRAINED = ("retrieval.epochs=0", "ranking.epochs=0")
_ROWS_PER_USER = 100
_POLL_SECONDS = 0.5
_POLLED_SHARE = 0.02  # Of the time, at most: the kernel walks through all of a process's memory to tell it.
_GIB = 2**30
_USED = re.compile(r"^(.+): ([\d.]+) s of processors, (\d+) MiB at most$", re.MULTILINE)  # As `processes` says it.

_TIME = Target("time growth ÷ data growth", False, 1.1)
_PEAK = Target("peak memory, GiB", False, 8.0)
_GROWTH = Target("most growth of a peak, of Beam components but the Evaluator", False, 1.3)
_CPU = Target("CPU microseconds of another interaction, of the same components", False, 30.0)
_DISK = Target("bytes of an interaction, in raw and transformed examples", False, 30.0)
_WORKERS = Target("Beam stages: one process ÷ two, seconds", True, 1.6)


def run(
    sizes: Sequence[int], items: int, overrides: Sequence[str], output: str, json_file: str | None, console: Console
) -> None:
    """Measures and prints tables.

    Args:
      sizes: interactions of the generated data sets.
      items: of each of them.
      overrides: `--set` of the runs.
      output: where data, runs and what was measured of each go. What is there already is not done again.
      json_file: where the figures go as well.
      console: for progress and tables.

    Raises:
      RunError: a run failed.
    """
    overrides = [*_ONE_EPOCH, *overrides]
    found = {}
    for size in sorted(set(sizes)):
        data = os.path.join(os.path.abspath(output), f"data-{size}-{items}")
        console.print(f"Generating {size:,} interactions …")
        write_generated(Generated(users=max(2, size // _ROWS_PER_USER), items=items, interactions=size), data)
        found[size] = _measured(data, overrides, 1, console)
    two = _measured(data, [*overrides, *_UNTRAINED], 2, console)
    _print(found, two, console)
    ratios = _ratios(found, two)
    print_targets(ratios, console)
    if json_file:
        figures = {"runs": found, "two_workers": two, "ratios": {target.name: value for target, value in ratios}}
        Path(json_file).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _measured(data: str, overrides: Sequence[str], beam_workers: int, console: Console) -> dict[str, Any]:
    """A run of its own process, with nothing cached: its interactions, and each component's seconds and peak bytes.

    Kept beside the data, for when the benchmark is stopped half-way and started again.
    """
    kept = Path(f"{data}-workers-{beam_workers}.json")
    settings = {
        "overrides": [*overrides],
        "code": code_fingerprint("pipeline.local.runner", "models.retrieval", "models.ranking", "serving.cli"),
    }
    if kept.exists() and (before := json.loads(kept.read_text(encoding="utf-8")))["settings"] == settings:
        console.print(f"Measured before, as {kept} has it", soft_wrap=True)
        return before["run"]
    output = tempfile.mkdtemp(prefix="run-", dir=os.path.dirname(data))
    console.print(f"Running on {data}, Beam workers: {beam_workers}", soft_wrap=True)
    options = [f"--beam-workers={beam_workers}", *(f"--set={override}" for override in overrides)]
    command = [sys.executable, "-m", "pipeline.cli", "run", "--data", data, "--output", output, *options]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    peak = [0]
    lines: list[str] = []
    watcher = threading.Thread(target=_watch, args=(process.pid, peak))
    watcher.start()
    try:
        for line in process.stdout:
            lines.append(line)
            if "] " in line or ": done in" in line:
                console.print(f"  {line.strip()}", markup=False, highlight=False)
        process.wait()
    finally:
        process.terminate()  # Where this is interrupted; else it has ended.
        watcher.join()
    if process.returncode not in (0, 3):  # 3: not blessed, as a model that was hardly trained may not be.
        raise RunError(f"{' '.join(command)} failed: {''.join(lines[-5:])}")
    report = read_report(output)
    cpu, peaks = _used(Path(output))
    run = {
        "interactions": report["dataset"]["interactions"],
        "total": time.monotonic() - started,
        "seconds": report["seconds"]["components"],
        "cpu": cpu,
        "disk": sum(_size(Path(output, "pipeline", step, key)) for step, key in _EXAMPLES),
        "peak": peak[0],
        "peaks": peaks,
    }
    shutil.rmtree(output)
    kept.write_text(json.dumps({"settings": settings, "run": run}, indent=2) + "\n", encoding="utf-8")
    return run


def _used(output: Path) -> tuple[dict[str, float], dict[str, int]]:
    """By component, seconds of processors, those of Beam workers included, and peak bytes of its largest process."""
    cpu: collections.Counter[str] = collections.Counter()
    peaks: collections.Counter[str] = collections.Counter()
    for log in output.glob("logs/*.log"):
        for name, seconds, size in _USED.findall(log.read_text(encoding="utf-8", errors="replace")):
            cpu[name] += float(seconds)
            peaks[name] = max(peaks[name], int(size) << 20)
    return dict(cpu), dict(peaks)


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def _watch(pid: int, peak: list[int]) -> None:
    """Keeps in `peak` the largest memory of all processes of a run together. What they share counts once."""
    while True:
        started = time.monotonic()
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return
            family = [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        used = 0
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                used += one.memory_full_info().pss
        peak[0] = max(peak[0], used)
        time.sleep(max(_POLL_SECONDS, (time.monotonic() - started) / _POLLED_SHARE))


def _ratios(found: dict[int, dict[str, Any]], two: dict[str, Any]) -> list[tuple[Target, float]]:
    smallest, largest = found[min(found)], found[max(found)]
    of_data = largest["interactions"] / smallest["interactions"]
    one, both = (sum(run["seconds"][name] for name in _WAITED_FOR) for run in (largest, two))
    ratios = [
        (_TIME, largest["total"] / smallest["total"] / of_data),
        (_PEAK, largest["peak"] / _GIB),
        (_GROWTH, max(largest["peaks"][name] / smallest["peaks"][name] for name in _DATA_STEPS)),
        (_DISK, largest["disk"] / largest["interactions"]),
        (_WORKERS, one / both),
    ]
    if more := largest["interactions"] - smallest["interactions"]:
        seconds = [sum(run["cpu"][name] for name in _DATA_STEPS) for run in (smallest, largest)]
        ratios.append((_CPU, (seconds[1] - seconds[0]) / more * 1e6))
    return ratios


def _print(found: dict[int, dict[str, Any]], two: dict[str, Any], console: Console) -> None:
    runs = {f"{size:,}": run for size, run in found.items()} | {f"{max(found):,}, 2 workers": two}
    table = Table("component", title="Seconds, seconds of processors, and peak GiB of a process", title_justify="left")
    for name in runs:
        table.add_column(name, justify="right")
    for component in two["seconds"]:
        table.add_row(
            component,
            *(
                f"{run['seconds'][component]:.1f}  {run['cpu'][component]:.1f}  {run['peaks'][component] / _GIB:.2f}"
                for run in runs.values()
            ),
        )
    totals = [(run["total"], sum(run["cpu"].values()), run["peak"] / _GIB) for run in runs.values()]
    table.add_row("total", *(f"{seconds:.1f}  {cpu:.1f}  {peak:.2f}" for seconds, cpu, peak in totals))
    console.print(table)
