"""Gives memory back that large requests have taken: the allocator keeps it for threads that may never need it again."""

from __future__ import annotations

import asyncio
import ctypes

import psutil

_M_MMAP_THRESHOLD = -3  # Of malloc.h.
_LARGE_BLOCK_BYTES = 1 << 20  # Larger blocks are given back as soon as they are free.
_LOOK_SECONDS = 5.0
_GROWN_BYTES = 64 << 20


async def give_back() -> None:
    """Looks at the process's memory for ever, and has the allocator give back what is free when that has grown."""
    libc = ctypes.CDLL(None)
    trim = getattr(libc, "malloc_trim", None)
    if trim is None:
        return  # It is not glibc.
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
    process = psutil.Process()
    least = process.memory_info().rss
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        held = process.memory_info().rss
        if held > least + _GROWN_BYTES:
            await asyncio.to_thread(trim, 0)
            least = process.memory_info().rss
        least = min(least, held)
