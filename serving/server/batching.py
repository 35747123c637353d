"""Joins the requests of concurrent clients into batches for the model.

The parameters are those of TensorFlow Serving's batching (tensorflow_serving/batching/README.md). Requests can share a
batch if they ask for the same version and signature with the same shape of a row.
"""

from __future__ import annotations

import asyncio
import functools
import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import numpy as np

from serving.codec.errors import RequestError, exhausted, invalid
from serving.server.model import LoadedModel
from serving.server.rows import Tensors, cut, filled_up, joined, padded, row_count


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
      pad_variable_length_inputs: joins requests whose rows have different shapes: each input is padded at its ends with
        its own first value.
    """

    max_batch_size: int = 128
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 100
    num_batch_threads: int = 1
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False


@dataclass(order=True)
class _Task:
    """Tasks are taken in order of `turn`: where the clock of rows stood when the request came, plus its rows so far.

    So a request of one row waits for no more than the batch that runs, however many rows another client sends.
    """

    turn: int
    number: int
    tensors: Tensors = field(compare=False)
    rows: int = field(compare=False)
    answer: asyncio.Future = field(compare=False)
    since: float = field(compare=False)


@dataclass(frozen=True)
class _Key:
    """What a batch's requests have in common."""

    model: LoadedModel
    signature: str
    row: tuple  # Name, type and shape of a row of each input, or a unique token for a request that runs alone.
    by_row: bool
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
        self._queues: OrderedDict[_Key, list[_Task]] = OrderedDict()  # Heaps.
        self._numbers = itertools.count()
        self._clock = 0
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, model: LoadedModel, name: str, tensors: Tensors) -> dict[str, np.ndarray]:
        """A signature's outputs for inputs of the right names.

        Inputs that do not share a first dimension are the graph's to judge. A cancelled request is skipped.

        Raises:
          RequestError: RESOURCE_EXHAUSTED when the queue is full; INVALID_ARGUMENT for more rows than it ever takes; or
            what the model finds wrong.
        """
        sizes = {array.shape[0] if array.ndim else None for array in tensors.values()}
        by_row = model.by_row[name] and len(sizes) == 1 and None not in sizes
        rows, pieces = 1, [tensors]
        if by_row:
            rows = row_count(tensors)
            self.check_rows(rows)
            pieces = cut(tensors, rows, self._parameters.max_batch_size)
        if self._waiting + rows > self._capacity:
            raise exhausted("The batch scheduling queue to which this task was submitted is full")
        key = self._key(model, name, tensors, by_row)
        loop = asyncio.get_running_loop()
        tasks = []
        turn = self._clock
        for piece in pieces:
            size = row_count(piece) if by_row else 1
            turn += size
            tasks.append(_Task(turn, next(self._numbers), piece, size, loop.create_future(), loop.time()))
            heapq.heappush(self._queues.setdefault(key, []), tasks[-1])
        self._waiting += rows
        self._dispatch()
        if len(tasks) == 1:
            return await tasks[0].answer
        try:
            return joined(await asyncio.gather(*(task.answer for task in tasks)))
        finally:
            for task in tasks:
                task.answer.cancel()

    def check_rows(self, rows: int) -> None:
        """Raises RequestError for more rows than the queue ever takes."""
        if rows > self._capacity:
            raise invalid(f"A request of {rows} rows is larger than the {self._capacity} that can be enqueued")

    def _key(self, model: LoadedModel, name: str, tensors: Tensors, by_row: bool) -> _Key:
        joins = self._join and by_row
        if not joins:
            return _Key(model, name, (object(),), by_row, joins)
        pads = self._parameters.pad_variable_length_inputs
        row = [(key, array.dtype.str, array.ndim if pads else array.shape[1:]) for key, array in tensors.items()]
        return _Key(model, name, tuple(sorted(row)), by_row, joins)

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
            if not self._parameters.batch_timeout_micros:
                return key
            due = min(task.since for task in queue) + (self._parameters.batch_timeout_micros / 1e6 if key.joins else 0)
            if loop.time() >= due or sum(task.rows for task in queue) >= self._parameters.max_batch_size:
                return key
            dues.append(due)
        self._timer = loop.call_at(min(dues), self._dispatch) if dues else None
        return None

    def _take(self, key: _Key) -> list[_Task]:
        """The tasks of the next batch, without those that were cancelled."""
        queue, batch, rows = self._queues[key], [], 0
        while queue and (not rows or rows + queue[0].rows <= self._parameters.max_batch_size):
            task = heapq.heappop(queue)
            self._waiting -= task.rows
            self._clock = max(self._clock, task.turn)
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
            if not key.by_row:
                return [key.model.run(key.signature, parts[0])]
            sizes = [row_count(part) for part in parts]
            self._observe(sum(sizes))
            batch = parts[0] if len(parts) == 1 else joined(padded(parts))
            filled = filled_up(batch, self._parameters.allowed_batch_sizes)
            outputs = key.model.run(key.signature, filled)
            if {len(array) for array in outputs.values()} == {row_count(filled)}:
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
