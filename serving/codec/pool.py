"""Where requests are read: at once if that is nothing, otherwise in worker processes, the cheapest first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import grpc

from serving.codec import pipes
from serving.codec.errors import RequestError, exhausted

_INLINE_BYTES = 16 << 10
_INLINE_BRACKETS = 512  # Lists and objects, which take longer than their bytes say.
_JOB_SECONDS = 60  # Until a worker is stopped.
_MEMORY_FACTOR = 2  # A request while it is read, in relation to its arrays.

_log = logging.getLogger("recommender.serving")


class _Job(NamedTuple):
    """Jobs are taken in order of `turn`: where the clock of work stood when it came, plus its own bytes."""

    turn: int
    number: int
    answer: asyncio.Future
    function: str
    raw: Sequence[bytes]
    arguments: tuple[Any, ...]


def is_costly(raw: Sequence[bytes]) -> bool:
    """Whether a request, in pieces, goes to a worker."""
    if _size(raw) > _INLINE_BYTES:
        return True
    return sum(piece.count(b"[") + piece.count(b"{") for piece in raw) > _INLINE_BRACKETS


def _size(raw: Sequence[bytes]) -> int:
    return sum(map(len, raw))


class ParserPool:
    """Reads requests. Belongs to one event loop.

    A job's turn comes by its size, counted from the moment when it came. So a large one waits for small ones, though
    not for ever, and no number of large ones makes a small one wait for more than those that are being read.

    Args:
      workers: processes.
      max_bytes: memory of the arrays of one request.
      max_waiting_bytes: of all requests that wait to be read, or are being received.
    """

    def __init__(self, workers: int, max_bytes: int, max_waiting_bytes: int):
        self._max_bytes, self._max_waiting_bytes = max_bytes, max_waiting_bytes
        self._held_bytes = 0
        self._threads = ThreadPoolExecutor(workers, "parser")
        self._idle = [_Worker(max_bytes * _MEMORY_FACTOR) for _ in range(workers)]
        self._all = list(self._idle)
        self._jobs: list[_Job] = []
        self._numbers = itertools.count()
        self._clock = 0

    def hold(self, size: int) -> None:
        """Counts bytes of a request, until `release`. Raises RequestError if there are too many of all requests."""
        if self._held_bytes + size > self._max_waiting_bytes:
            raise exhausted("Too many large requests wait to be read")
        self._held_bytes += size

    def release(self, size: int) -> None:
        """The opposite of `hold`."""
        self._held_bytes -= size

    async def run(self, function: Callable, raw: Sequence[bytes], *arguments: Any) -> Any:
        """What a function of `requests` returns for a request, which comes in pieces, and further arguments.

        Nothing large is joined or copied here: the interpreter would let nobody else run meanwhile.

        Raises:
          RequestError: as the function.
        """
        if not is_costly(raw):
            try:
                return function(b"".join(raw), *arguments)
            except RecursionError:
                pass  # A worker has room for it.
        answer = asyncio.get_running_loop().create_future()
        heapq.heappush(
            self._jobs,
            _Job(self._clock + _size(raw), next(self._numbers), answer, function.__name__, raw, arguments),
        )
        self._dispatch()
        try:
            return await answer
        except asyncio.CancelledError:  # Nobody waits for it, so its bytes need not be kept until its turn.
            self._jobs = [job for job in self._jobs if job.answer is not answer]
            heapq.heapify(self._jobs)
            raise

    def start(self) -> None:
        """Starts the processes, for which the first large request then need not wait."""
        for one in self._all:
            one.start()

    def close(self) -> None:
        """Ends the processes."""
        for one in self._all:
            one.stop()
        self._threads.shutdown()

    def _dispatch(self) -> None:
        while self._idle and self._jobs:
            job = heapq.heappop(self._jobs)
            self._clock = max(self._clock, job.turn)
            if not job.answer.done():
                asyncio.get_running_loop().create_task(self._work(self._idle.pop(), job))

    async def _work(self, process: _Worker, job: _Job) -> None:
        loop = asyncio.get_running_loop()
        limit = loop.call_later(_JOB_SECONDS, process.stop)
        try:
            result = await loop.run_in_executor(self._threads, process.run, job)
        finally:
            limit.cancel()
            self._idle.append(process)
            self._dispatch()
        if job.answer.done():
            return
        if isinstance(result, RequestError):
            job.answer.set_exception(result)
        else:
            job.answer.set_result(result)


class _Worker:
    """A process, started again when it has ended. Only one thread runs jobs on it at a time."""

    def __init__(self, max_bytes: int):
        self._command = [sys.executable, "-m", "serving.codec.worker", str(max_bytes)]
        self._process: subprocess.Popen | None = None

    def start(self) -> subprocess.Popen:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def run(self, job: _Job) -> Any:
        """The result, or a RequestError."""
        process = self.start()
        try:
            pipes.write(process.stdin, (job.function, [pickle.PickleBuffer(piece) for piece in job.raw], job.arguments))
            result, ends = pipes.read(process.stdout)
        except (EOFError, OSError):
            _log.warning("a request could not be read: its worker has ended with status %s", process.wait())
            return RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, "The request takes too long to read")
        if ends:
            process.wait()
        return result
