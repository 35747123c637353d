"""Signature calls without a server, and the index inside a servable."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.searches import clusters, in_servable
from components.recommender_builder.index import build_index
from components.recommender_builder.settings import Index
from components.recommender_builder.tuning import recalls

_WARM_UP = 5
_DIMENSIONS = 64


def milliseconds(call: Callable[[], object], seconds: float) -> np.ndarray:
    """Times a call over and over, for about so many seconds; milliseconds of each."""
    for _ in range(_WARM_UP):
        call()
    found: list[float] = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends or len(found) < _WARM_UP:
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    return np.array(found)


def signature_calls(model_dir: str, users: list[str], batch: int, seconds: float) -> np.ndarray:
    """Milliseconds of calls of `serving_default` as any Python program makes them, with other users each time."""
    import scann  # noqa: F401

    model = tf.saved_model.load(model_dir)
    numbers = iter(range(1 << 60))

    def call() -> None:
        start = next(numbers) * batch
        asked = [users[(start + n) % len(users)] for n in range(batch)]
        for output in model.signatures["serving_default"](user_id=tf.constant(asked)).values():
            output.numpy()

    return milliseconds(call, seconds)


def index_in_a_servable(candidates: int, seconds: float, directory: str) -> dict[str, float | str]:
    """Exports the same vectors under brute force and under the index that the pipeline would build; asks both.

    Returns:
      `kind`, `build_seconds`, `recall_at_100` of the index against brute force, and milliseconds of one query for both.
    """
    draw = clusters(_DIMENSIONS, noise=0.5)
    vectors, queries = draw(candidates), draw(500)
    started = time.perf_counter()
    index = build_index(Index(), vectors, draw(200))
    built = time.perf_counter() - started
    found = {"index": index, "brute_force": build_index(Index(kind="exact"), vectors, queries)}
    search = {name: in_servable(module, _DIMENSIONS, os.path.join(directory, name)) for name, module in found.items()}
    recall = float(recalls(search["index"](queries), search["brute_force"](queries)).mean())
    timings = {}
    for name, ask in search.items():
        numbers = iter(range(1 << 60))

        def call(ask=ask, numbers=numbers) -> None:
            ask(queries[next(numbers) % len(queries)][np.newaxis])

        timings[f"{name}_milliseconds"] = float(np.median(milliseconds(call, seconds)))
    return {"kind": index.kind, "build_seconds": built, "recall_at_100": recall, **timings}
