"""Processes that start at once: forked from one that has imported TFX, TensorFlow and Beam, and has run nothing."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import connection, forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

THREADS = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")  # Within TensorFlow's operations and between them.
_NAME_LENGTH = 15  # What Linux keeps of a process's name.
_GRACE_SECONDS = 10.0  # From a SIGTERM on, for a process to stop what it has started, as the InfraValidator its server.
_CONTEXT = multiprocessing.get_context("forkserver")
_LOCK = threading.Lock()  # Starting a process also asks how others ended, which can be asked once only.


def prepare() -> None:
    """Has the imports made in the background, so that the first process starts sooner."""
    _CONTEXT.set_forkserver_preload(["pipeline.local.preload"])
    forkserver.ensure_running()


def start(name: str, target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Runs `target` in a process that writes where this one does, and ends when this one does, in whatever way.

    Args:
      name: the process's in lists of processes, where the system allows.
      target: a function of a module.
      arguments: its own; picklable.
    """
    prepare()
    outputs = [connection.Connection(os.dup(descriptor), readable=False) for descriptor in (1, 2)]
    process = _CONTEXT.Process(name=name, target=_run, args=(outputs, dict(os.environ), target, arguments), daemon=True)
    with _LOCK:
        process.start()
    return process


def exit_code(process: BaseProcess) -> int:
    """Waits for the end of a process: 0 or another status, or the negative number of the signal that killed it."""
    connection.wait([process.sentinel])
    with _LOCK:
        process.join()
        return process.exitcode


def stop(process: BaseProcess) -> None:
    """Ends a process, by force if it takes long."""
    process.terminate()
    if not connection.wait([process.sentinel], _GRACE_SECONDS):
        process.kill()
    exit_code(process)


def share_processors(among: int) -> None:
    """Where several processes compute, limits TensorFlow's threads in each to the processors divided by `among`.

    Threads that wait for each other and for a processor, too, took a sixth of the time of two Trainers. What the
    environment says already counts more.
    """
    if among > 1:
        for threads in THREADS:
            os.environ.setdefault(threads, str(max(1, os.cpu_count() // among)))


def _run(
    outputs: list[connection.Connection],
    environment: dict[str, str],
    target: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(output.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.suppress(OSError):  # Not every system has it.
        Path("/proc/self/comm").write_text(multiprocessing.current_process().name[:_NAME_LENGTH], encoding="utf-8")
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        target(*arguments)
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF)
        what = f"{used.ru_utime + used.ru_stime:.3f} s of processors, {used.ru_maxrss >> 10} MiB at most"
        # At once, as others write there, too.
        os.write(1, f"{multiprocessing.current_process().name}: {what}\n".encode())


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)
