"""Every run into an output directory: a line of `history.jsonl` when it begins, and one when it ends."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.reporter.headline import headline
from models.errors import UserError
from pipeline.outputs import locked
from pipeline.texts import figure
from serving.texts import one_line

HISTORY_FILE = "history.jsonl"
PUSHED, REFUSED = "pushed", "refused"
_STOPPED, _RUNNING, _KILLED = "stopped", "running", "killed"

_COLOURS = {PUSHED: "green", REFUSED: "red", _STOPPED: "red", _KILLED: "red", _RUNNING: "yellow"}

Entry = dict[str, Any]


@contextmanager
def recorded(output: str, name: str, span: str) -> Iterator[Entry]:
    """Writes down that a run begins, and how it ends: with what the body puts into the entry, or why it stopped."""
    started = datetime.datetime.now(datetime.timezone.utc)
    entry: Entry = {"started": started.isoformat(timespec="microseconds"), "name": name, "span": span}
    _append(output, entry)
    try:
        yield entry
    except BaseException as error:
        with suppress(OSError):  # As of a full disk, which is what stopped the run.
            _append(output, _ended(entry | {"verdict": _STOPPED, "because": [one_line(str(error)) or "interrupted"]}))
        raise
    _append(output, _ended(entry))


def _ended(entry: Entry) -> Entry:
    taken = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(entry["started"])
    return entry | {"seconds": round(taken.total_seconds(), 1)}


def of_report(report: dict[str, Any]) -> Entry:
    """What is written down of a run that came to a verdict."""
    return {
        "verdict": PUSHED if report["blessed"] else REFUSED,
        "version": report["pushed_version"],
        "because": report["not_blessed_because"],
        "interactions": report["dataset"]["interactions"],
        "figures": headline(report["metrics"]),
        "drift": [finding["text"] for finding in report["drift"]["findings"]],
    }


def read(output: str) -> list[Entry]:
    """All runs, the oldest first."""
    path = Path(output) / HISTORY_FILE
    if not path.exists():
        return []
    runs: dict[str, Entry] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except ValueError:  # A run was killed, or the disk was full, while it was written.
            continue
        runs[entry["started"]] = entry
    return [{"verdict": _RUNNING if _is_running(output, runs, entry) else _KILLED} | entry for entry in runs.values()]


def _is_running(output: str, runs: dict[str, Entry], entry: Entry) -> bool:
    """Whether a run without an end is the newest, and holds the directory."""
    if "verdict" in entry or entry["started"] != max(runs):
        return False
    try:
        with locked(output):
            return False
    except UserError:
        return True


def show(entries: list[Entry], console: Console) -> None:
    """A table of runs, with the best baseline's top-100, and why some did not end with a push."""
    table = Table(box=None, pad_edge=False)
    for title in ("started (UTC)", "span", "verdict", "version"):
        table.add_column(title, no_wrap=True)
    for title in ("seconds", "top-100", "nDCG@10", "baseline"):
        table.add_column(title, justify="right", no_wrap=True)
    for entry in entries:
        figures, verdict = entry.get("figures", {}), entry["verdict"]
        table.add_row(
            _minute(entry),
            entry["span"] or "-",
            f"[{_COLOURS[verdict]}]{verdict}[/]",
            entry.get("version") or "-",
            f"{entry['seconds']:,.0f}" if "seconds" in entry else "",
            *(figure(figures.get(name)) for name in ("top_100", "ndcg_at_10", "baseline_top_100")),
        )
    console.print(table)
    for entry in entries:
        for reason in entry.get("because", ()):
            console.print(f"{_minute(entry)}: {escape(reason)}", soft_wrap=True, highlight=False)


def _minute(entry: Entry) -> str:
    return entry["started"][:16].replace("T", " ")


def _append(output: str, entry: Entry) -> None:
    """Adds a line by one write; what an earlier one left without its end stays a line of its own."""
    path = os.path.join(output, HISTORY_FILE)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, ("\n" * bool(torn) + json.dumps(entry) + "\n").encode())
    finally:
        os.close(descriptor)
