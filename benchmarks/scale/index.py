"""`recommender benchmark index`: the servable's search against exact search, and against other libraries' indexes.

Every approximate search is tuned the same way, on the same queries, to be its fastest that reaches the recall, and is
then measured on others.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.scale.targets import Target, print_targets
from components.recommender_builder.index import build_index, true_neighbours
from components.recommender_builder.tuning import Search, fastest, found_share, median_milliseconds, rising
from pipeline.config import Index

_K = 100
_QUERIES = 400  # To tune with, and as many more to measure with.
_CENTRES = 1000  # Embeddings of real catalogues come in clusters.
_REFINED = (2, 3, 5, 8, 12, 20, 40)  # Neighbours whose exact score FAISS computes, for each that is wanted.
_SAMPLE = 250_000

_EXACT = Target("exact search ÷ ScaNN in the servable, milliseconds of a query", True, 20.0)
_OTHERS = Target("better of FAISS and hnswlib ÷ ScaNN in the servable, one thread", True, 1.0)


def run(candidates: int, dimensions: int, recall: float, json_file: str | None, console: Console) -> None:
    """Measures and prints tables.

    Args:
      candidates, dimensions: of the vectors that are searched.
      recall: share of the true 100 that every search has to find.
      json_file: where the figures go as well.
      console: for progress and tables.
    """
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(_CENTRES, dimensions)).astype(np.float32)

    def draw(rows: int) -> np.ndarray:
        noise = rng.normal(size=(rows, dimensions)).astype(np.float32)
        return centres[rng.integers(_CENTRES, size=rows)] + 0.5 * noise

    vectors, queries, others = draw(candidates), draw(_QUERIES), draw(_QUERIES)
    truth, true_others = (true_neighbours(vectors, asked, _K) for asked in (queries, others))
    console.print(f"{candidates:,} candidates of {dimensions} dimensions, {os.cpu_count()} processors")
    figures: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as directory:
        exact = _in_servable(build_index(Index(kind="exact"), vectors, queries), dimensions, f"{directory}/exact")
        figures["exact, servable"] = {"build_seconds": 0.0, "settings": ""} | _measured(exact, others, true_others)
        for name, build in (("ScaNN, servable", _scann), ("FAISS", _faiss), ("hnswlib", _hnswlib)):
            console.print(f"Building and tuning {name} …")
            started = time.perf_counter()
            settings, search = build(vectors, queries, truth, recall, f"{directory}/scann")
            seconds = time.perf_counter() - started
            figures[name] = {"build_seconds": seconds, "settings": settings} | _measured(search, others, true_others)
    _print(figures, console)
    ours = figures["ScaNN, servable"]
    better = min(figures[name]["one_thread_milliseconds"] for name in ("FAISS", "hnswlib"))
    ratios = [
        (_EXACT, figures["exact, servable"]["milliseconds"] / ours["milliseconds"]),
        (_OTHERS, better / ours["one_thread_milliseconds"]),
    ]
    print_targets(ratios, console)
    if json_file:
        content = {"indexes": figures, "ratios": {target.name: value for target, value in ratios}}
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _measured(search: Search, queries: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    milliseconds = median_milliseconds(search, queries)
    with _one_processor():
        alone = median_milliseconds(search, queries)
    return {
        "recall_at_100": found_share(search(queries), truth),
        "milliseconds": milliseconds,
        "one_thread_milliseconds": alone,
    }


@contextmanager
def _one_processor() -> Iterator[None]:
    """Keeps all threads of this process on one processor, whatever number of them a library has."""
    everywhere = os.sched_getaffinity(0)

    def allow(processors: set[int]) -> None:
        for thread in psutil.Process().threads():
            os.sched_setaffinity(thread.id, processors)

    allow({min(everywhere)})
    try:
        yield
    finally:
        allow(everywhere)


def _in_servable(index: tf.Module, dimensions: int, path: str) -> Search:
    """The index's search as a signature, saved and loaded."""
    specs = [tf.TensorSpec([None, dimensions], tf.float32, name="query")]
    search = tf.function(lambda query: {"row": index.search(query, _K)}, input_signature=specs, autograph=False)
    options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    tf.saved_model.save(index, path, signatures={"serving_default": search}, options=options)
    model = tf.saved_model.load(path)
    return lambda queries: model.signatures["serving_default"](query=tf.constant(queries))["row"].numpy()


def _scann(vectors, queries, truth, recall, directory) -> tuple[str, Search]:
    index = build_index(Index(candidates=_K, recall=recall), vectors, queries)
    settings = f"{index.settings.leaves} of {index.leaves} leaves, " if index.leaves else ""
    return f"{settings}{index.settings.reordered:g} reordered", _in_servable(index, vectors.shape[1], directory)


def _faiss(vectors, queries, truth, recall, _) -> tuple[str, Search]:
    """IVF with product quantisation in registers, and the best scored again with the vectors themselves."""
    import faiss

    lists, dimensions = max(1, round(math.sqrt(len(vectors)))), vectors.shape[1]
    index = faiss.index_factory(dimensions, f"IVF{lists},PQ{dimensions // 2}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:_SAMPLE])
    index.add(vectors)

    def search(settings: tuple[int, int]) -> Search:
        def find(asked: np.ndarray) -> np.ndarray:
            faiss.ParameterSpace().set_index_parameters(index, "nprobe={},k_factor_rf={}".format(*settings))
            return index.search(asked, _K)[1]

        return find

    groups = [[(probed, refined) for refined in _REFINED] for probed in rising(2, lists, 1.4)]
    best = fastest(groups, search, queries, truth, recall).settings
    return f"{best[0]} of {lists} lists, {best[1]} refined", search(best)


def _hnswlib(vectors, queries, truth, recall, _) -> tuple[str, Search]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200)
    index.add_items(vectors)

    def search(width: int) -> Search:
        def find(asked: np.ndarray) -> np.ndarray:
            index.set_ef(width)
            return index.knn_query(asked, _K)[0].astype(np.int64)

        return find

    best = fastest([rising(_K, 5000, 1.15)], search, queries, truth, recall).settings
    return f"M 16, ef {best}", search(best)


def _print(figures: dict[str, dict[str, Any]], console: Console) -> None:
    columns = ("index", "build and tune s", "settings", "recall@100", "ms", "ms on one processor")
    table = Table(*columns, title="One query", title_justify="left")
    for name, found in figures.items():
        numbers = [f"{found['recall_at_100']:.4f}", f"{found['milliseconds']:.3f}"]
        numbers.append(f"{found['one_thread_milliseconds']:.3f}")
        table.add_row(name, f"{found['build_seconds']:.0f}", found["settings"], *numbers)
    console.print(table)
