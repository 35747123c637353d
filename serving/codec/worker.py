"""A process that reads requests, so that one that takes long takes neither time nor memory from the server.

The server starts it, sends it one job at a time, and reads one result; it ends with the server. A job is pickled: a
function of `requests`, a request in pieces, and further arguments. A result is what the function returned or the error
that it raised, and whether the worker ends, since it has become large.
"""

from __future__ import annotations

import importlib.machinery
import os
import resource
import signal
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any, BinaryIO

import grpc

from serving.codec import pipes

_NICE = 10  # Beside the server, which answers those who send less.
_MAX_DEPTH = 100_000  # Of JSON, most of it beside what is read.
_STACK_BYTES = 256 << 20  # Reserved for that depth; what is not used is not there.
_OWN_BYTES = 256 << 20  # What a worker may hold beside a request.
_KEPT_BYTES = 100 << 20  # A worker that holds more after a request ends, and another takes its place.


def _jobs(stream: BinaryIO) -> Iterator[Any]:
    while True:
        try:
            yield pipes.read(stream)
        except EOFError:
            return


def _serve(max_bytes: int) -> None:
    from serving.codec import requests
    from serving.codec.errors import RequestError, exhausted, invalid

    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    resource.setrlimit(resource.RLIMIT_DATA, (max_bytes + _OWN_BYTES + _STACK_BYTES,) * 2)
    sys.setrecursionlimit(_MAX_DEPTH)
    for function, raw, arguments in _jobs(incoming):
        try:
            raw = b"".join(raw)
            result = getattr(requests, function)(raw, *arguments)
        except RequestError as error:
            result = RequestError(
                error.code, str(error), error.http_status
            )  # Without the frames that hold the request.
        except RecursionError:
            result = invalid("JSON Parse error: the document nests too deeply")
        except MemoryError:
            result = exhausted(f"The request takes more than {max_bytes} bytes to read")
        except Exception as error:
            result = RequestError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
        raw = arguments = None
        ends = _held_bytes() > _KEPT_BYTES
        pipes.write(outgoing, (result, ends))
        if ends:
            return
        result = None


def _held_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _messages_without_tensorflow() -> None:
    """Makes `tensorflow` a package that has TensorFlow's messages, without what its import brings along."""
    spec = importlib.machinery.PathFinder.find_spec("tensorflow")
    assert spec and spec.submodule_search_locations
    package = types.ModuleType("tensorflow")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["tensorflow"] = package


def main() -> None:
    """`python -m serving.codec.worker BYTES`: BYTES of memory are what a request may take."""
    os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # It is the server's to stop, and then the worker's.
    _messages_without_tensorflow()
    threading.stack_size(_STACK_BYTES)
    thread = threading.Thread(target=_serve, args=(int(sys.argv[1]),))
    thread.start()
    thread.join()


if __name__ == "__main__":
    main()
