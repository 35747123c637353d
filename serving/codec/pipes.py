"""What server and worker send each other: pickles, and the memory of arrays as it is."""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any

import numpy as np

_HEAD = struct.Struct("<Q")
_SLICE = 4096  # Strings made at once: the interpreter lets nobody else run meanwhile.


def write(stream: Any, value: Any) -> None:
    """Sends a value: its pickle, and its arrays' memory as it is."""
    buffers: list[pickle.PickleBuffer] = []
    packed = io.BytesIO()
    _Pickler(packed, 5, buffer_callback=buffers.append).dump(value)
    views = [buffer.raw() for buffer in buffers]
    stream.write(_HEAD.pack(packed.tell()) + _HEAD.pack(len(views)))
    stream.write(packed.getvalue())
    for view in views:
        stream.write(_HEAD.pack(view.nbytes))
        stream.write(view)
    stream.flush()


def read(stream: Any) -> Any:
    """What `write` has sent. Raises EOFError if the other side has gone."""
    size, count = (_HEAD.unpack(_exactly(stream, _HEAD.size))[0] for _ in range(2))
    packed = _exactly(stream, size)
    buffers = [_exactly(stream, _HEAD.unpack(_exactly(stream, _HEAD.size))[0]) for _ in range(count)]
    return pickle.loads(packed, buffers=buffers)


def _exactly(stream: Any, size: int) -> memoryview:
    memory = np.empty(size, np.uint8).data
    place = 0
    while place < size:
        got = stream.readinto(memory[place:])
        if not got:
            raise EOFError
        place += got
    return memory


class _Pickler(pickle.Pickler):
    """Sends arrays of strings as one piece of memory."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray) and value.dtype == object:
            strings = value.ravel().tolist()
            lengths = np.fromiter(map(len, strings), np.int64, len(strings))
            return unpacked, (np.frombuffer(b"".join(strings), np.uint8), lengths, value.shape)
        return NotImplemented


def unpacked(data: np.ndarray, lengths: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array of strings that a `_Pickler` has packed."""
    raw, ends = data.tobytes(), np.cumsum(lengths).tolist()
    starts = [0, *ends[:-1]]
    array = np.empty(len(ends), object)
    for first in range(0, len(ends), _SLICE):
        here = slice(first, first + _SLICE)
        array[here] = [raw[start:end] for start, end in zip(starts[here], ends[here], strict=True)]
    return array.reshape(shape)
