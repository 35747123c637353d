"""Joins the requests of concurrent clients into batches for the model.

The parameters are those of TensorFlow Serving's batching (tensorflow_serving/batching/README.md). Requests can share a
batch if they ask for the same version and signature with the same shape of a row.
"""

from __future__ import annotations

import asyncio
import bisect
import functools
import itertools
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import numpy as np

from serving.server.model import LoadedModel
from serving.server.status import RequestError, invalid

Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class BatchingParameters:
    """As in TensorFlow Serving's `--batching_parameters_file`; the queue's size is that of all requests together.

    Attributes:
      max_batch_size: rows that the model gets at once. Larger requests are cut into pieces.
      batch_timeout_micros: how long a request may wait for others while a thread is free.
      max_enqueued_batches: this many times `max_batch_size` rows may wait; further requests are refused.
      num_batch_threads: batches that run at the same time. With one, the next batch grows while it runs; TensorFlow
        has threads of its own for the work inside a batch.
      allowed_batch_sizes: ascending; a batch is filled up to the next of them. Empty: any size.
    """

    max_batch_size: int = 128
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 100
    num_batch_threads: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()


@dataclass(eq=False)
class _Task:
    tensors: Tensors
    rows: int
    answer: asyncio.Future
    since: float


@dataclass(frozen=True)
class _Key:
    """What a batch's requests have in common."""

    model: LoadedModel
    signature: str
    row: tuple  # Name, type and shape of a row of each input, or a unique token for a request that runs alone.
    joins: bool


class Batcher:
    """Runs requests on a model, in batches. Belongs to one event loop.

    Args:
      parameters: sizes and times.
      join: False runs each request alone, through the same queue.
      observe: called with the number of rows of each batch.
    """

    def __init__(self, parameters: BatchingParameters, join: bool, observe: Callable[[int], None]):
        self._parameters, self._join, self._observe = parameters, join, observe
        self._capacity = parameters.max_batch_size * parameters.max_enqueued_batches
        self._pool = ThreadPoolExecutor(parameters.num_batch_threads, "batch")
        self._free = parameters.num_batch_threads
        self._queues: OrderedDict[_Key, deque[_Task]] = OrderedDict()
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, model: LoadedModel, name: str, tensors: Tensors) -> dict[str, np.ndarray]:
        """A signature's outputs for inputs that passed the model's `check`.

        A request that was cancelled is skipped when its turn comes.

        Raises:
          RequestError: RESOURCE_EXHAUSTED when the queue is full; INVALID_ARGUMENT for more rows than it ever takes, or
            inputs with different numbers of rows; or what the model finds wrong.
        """
        rows, pieces = 1, [tensors]
        if model.by_row[name]:
            rows = _rows(tensors)
            pieces = _cut(tensors, rows, self._parameters.max_batch_size)
        joins = self._join and model.by_row[name]
        row = tuple((key, array.dtype.str, array.shape[1:]) for key, array in sorted(tensors.items()))
        key = _Key(model, name, row if joins else (object(),), joins)
        if rows > self._capacity:
            raise invalid(f"A request of {rows} rows is larger than the {self._capacity} that can be enqueued")
        if self._waiting + rows > self._capacity:
            raise RequestError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "The batch scheduling queue to which this task was submitted is full",
            )
        loop = asyncio.get_running_loop()
        tasks = [
            _Task(piece, _rows(piece) if len(pieces) > 1 else rows, loop.create_future(), loop.time())
            for piece in pieces
        ]
        self._queues.setdefault(key, deque()).extend(tasks)
        self._waiting += rows
        self._dispatch()
        if len(tasks) == 1:
            return await tasks[0].answer
        try:
            return _joined(await asyncio.gather(*(task.answer for task in tasks)))
        finally:
            for task in tasks:
                task.answer.cancel()

    def close(self) -> None:
        """Waits for the batches that run."""
        self._pool.shutdown()

    def _dispatch(self) -> None:
        """Starts batches that are ready to run, while threads are free."""
        loop = asyncio.get_running_loop()
        while self._free and (key := self._ready()):
            batch = self._take(key)
            if batch:
                self._free -= 1
                run = loop.run_in_executor(self._pool, self._run, key, [task.tensors for task in batch])
                run.add_done_callback(functools.partial(self._answer, batch))

    def _ready(self) -> _Key | None:
        """The queue to serve next: of those that fill a batch or have waited long enough, the least recently served."""
        loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
        dues = []
        for key, queue in self._queues.items():
            due = queue[0].since + (self._parameters.batch_timeout_micros / 1e6 if key.joins else 0)
            if loop.time() >= due or sum(task.rows for task in queue) >= self._parameters.max_batch_size:
                return key
            dues.append(due)
        self._timer = loop.call_at(min(dues), self._dispatch) if dues else None
        return None

    def _take(self, key: _Key) -> list[_Task]:
        """The tasks of the next batch, without those that were cancelled."""
        queue, batch, rows = self._queues[key], [], 0
        while queue and (not rows or rows + queue[0].rows <= self._parameters.max_batch_size):
            task = queue.popleft()
            self._waiting -= task.rows
            if not task.answer.done():
                batch.append(task)
                rows += task.rows
        if queue:
            self._queues.move_to_end(key)
        else:
            del self._queues[key]
        return batch

    def _run(self, key: _Key, parts: list[Tensors]) -> list[dict[str, np.ndarray] | Exception]:
        """In a thread of the pool: the outputs of each part, or what is wrong with it."""
        try:
            if not key.model.by_row[key.signature]:
                return [key.model.run(key.signature, parts[0])]
            sizes = [_rows(part) for part in parts]
            self._observe(sum(sizes))
            batch = parts[0] if len(parts) == 1 else _joined(parts)
            filled = _filled(batch, self._parameters.allowed_batch_sizes)
            outputs = key.model.run(key.signature, filled)
            if {len(array) for array in outputs.values()} == {_rows(filled)}:
                return [
                    {name: array[end - size : end] for name, array in outputs.items()}
                    for size, end in zip(sizes, itertools.accumulate(sizes), strict=True)
                ]
            if len(parts) == 1 and filled is batch:
                return [outputs]  # Right for one request, but it cannot be divided into rows.
            if len(parts) == 1:
                raise RequestError(
                    grpc.StatusCode.FAILED_PRECONDITION, "The outputs do not have a row for each of the inputs"
                )
        except Exception as error:
            if len(parts) == 1:
                return [error]
        return [self._run(key, [part])[0] for part in parts]  # Alone, so that a wrong request spoils no other.

    def _answer(self, batch: list[_Task], done: asyncio.Future) -> None:
        self._free += 1
        for task, answer in zip(batch, done.result(), strict=True):
            if task.answer.done():
                continue
            if isinstance(answer, Exception):
                task.answer.set_exception(answer)
            else:
                task.answer.set_result(answer)
        self._dispatch()


def _rows(tensors: Tensors) -> int:
    sizes = {key: len(array) for key, array in tensors.items()}
    if len({*sizes.values()}) != 1:
        given = ", ".join(f"{size} of {key}" for key, size in sorted(sizes.items()))
        raise invalid(f"Batching input tensors must have equal 0th-dimension size; given {given}")
    return next(iter(sizes.values()))


def _cut(tensors: Tensors, rows: int, size: int) -> list[Tensors]:
    if rows <= size:
        return [tensors]
    return [{key: array[start : start + size] for key, array in tensors.items()} for start in range(0, rows, size)]


def _joined(parts: list[Tensors]) -> dict[str, np.ndarray]:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _filled(tensors: Tensors, allowed: tuple[int, ...]) -> Tensors:
    """The batch, its last row repeated up to the next allowed size."""
    rows = _rows(tensors)
    place = bisect.bisect_left(allowed, rows)
    if not rows or place == len(allowed):
        return tensors
    missing = allowed[place] - rows
    return {key: np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) for key, array in tensors.items()}
