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
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.searches import K, clusters, in_servable
from benchmarks.targets import Target, print_targets
from components.recommender_builder.index import ScannIndex, build_index, true_neighbours
from components.recommender_builder.settings import Index
from components.recommender_builder.tuning import Search, fastest, geometric_steps, median_milliseconds, recalls
from models.errors import UserError

_QUERIES = 400  # To tune with, and as many more to measure with.
_REFINED = (2, 3, 5, 8, 12, 20, 40)  # Neighbours whose exact score FAISS computes, for each that is wanted.
_SAMPLE = 250_000
_SLACK = 0.01  # Of the recall on other queries than were tuned with.
_FIGURES = ("build_seconds", "settings", "recall_at_100", "milliseconds")

_EXACT = Target("exact search ÷ ScaNN, both in a servable", True, 20.0)
_OTHERS = Target("better of FAISS and hnswlib ÷ ScaNN, all as libraries in one thread", True, 1.0)
_LIBRARIES = ("FAISS", "hnswlib")


def run(candidates: int, dimensions: int, recall: float, json_file: str | None, console: Console) -> None:
    """Measures and prints tables.

    Args:
      candidates, dimensions: of the vectors that are searched.
      recall: share of the true 100 that every search has to find.
      json_file: where the figures go as well.
      console: for progress and tables.

    Raises:
      UserError: an odd number of dimensions.
    """
    if dimensions % 2:
        raise UserError(f"--dimensions {dimensions}: expected an even number, as hashes are of two dimensions each")
    draw = clusters(dimensions, noise=1.0)
    vectors, queries, others = draw(candidates), draw(_QUERIES), draw(_QUERIES)
    truth, true_others = (true_neighbours(vectors, asked, K) for asked in (queries, others))
    console.print(f"{candidates:,} candidates of {dimensions} dimensions, {os.cpu_count()} processors")
    figures: dict[str, dict[str, Any]] = {}

    def measure(name: str, search: Search, settings: str = "", build_seconds: float = 0.0) -> None:
        measured = float(recalls(search(others), true_others).mean()), median_milliseconds(search, others)
        figures[name] = dict(zip(_FIGURES, (build_seconds, settings, *measured), strict=True))

    with tempfile.TemporaryDirectory() as directory:
        exact = build_index(Index(kind="exact"), vectors, queries)
        measure("exact, servable", in_servable(exact, dimensions, f"{directory}/exact"))
        console.print("Building and tuning ScaNN …")
        started = time.perf_counter()
        index = build_index(Index(candidates=K, recall=recall), vectors, queries)
        seconds = time.perf_counter() - started
        leaves = f"{index.settings.leaves} of {index.leaves} leaves, " if index.leaves else ""
        settings = f"{leaves}{index.settings.reordered:g} reordered"
        measure("ScaNN, servable", in_servable(index, dimensions, f"{directory}/scann"), settings, seconds)
        measure("ScaNN, library", _scann(vectors, index), settings)
        for name, build in zip(_LIBRARIES, (_faiss, _hnswlib), strict=True):
            console.print(f"Building and tuning {name} …")
            started = time.perf_counter()
            settings, search = build(vectors, queries, truth, recall)
            measure(name, search, settings, time.perf_counter() - started)
    _print(figures, console)
    milliseconds = {name: found["milliseconds"] for name, found in figures.items()}
    enough = [name for name in _LIBRARIES if figures[name]["recall_at_100"] > recall - _SLACK]
    ratios = [(_EXACT, milliseconds["exact, servable"] / milliseconds["ScaNN, servable"])]
    if enough:
        ratios.append((_OTHERS, min(milliseconds[name] for name in enough) / milliseconds["ScaNN, library"]))
    print_targets(ratios, console)
    if json_file:
        content = {"indexes": figures, "ratios": {target.name: value for target, value in ratios}}
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _scann(vectors: np.ndarray, index: ScannIndex) -> Search:
    """The same index with the same settings, without TensorFlow around it."""
    from scann import scann_ops_pybind

    found = index.configured(scann_ops_pybind.builder(vectors, K, "dot_product"), K).build()
    reordered = math.ceil(index.settings.reordered * K)

    def search(queries: np.ndarray) -> np.ndarray:
        if len(queries) > 1:
            return np.concatenate([search(query[np.newaxis]) for query in queries])
        more = {"pre_reorder_num_neighbors": reordered, "leaves_to_search": index.settings.leaves}
        return found.search(queries[0], K, **more)[0][np.newaxis].astype(np.int64)

    return search


def _faiss(vectors, queries, truth, recall) -> tuple[str, Search]:
    """IVF with product quantisation in registers, and the best scored again with the vectors themselves."""
    import faiss

    lists, dimensions = max(1, round(math.sqrt(len(vectors)))), vectors.shape[1]
    index = faiss.index_factory(dimensions, f"IVF{lists},PQ{dimensions // 2}x4fs,RFlat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:_SAMPLE])
    index.add(vectors)
    faiss.omp_set_num_threads(1)

    def search(settings: tuple[int, int]) -> Search:
        def find(asked: np.ndarray) -> np.ndarray:
            faiss.ParameterSpace().set_index_parameters(index, "nprobe={},k_factor_rf={}".format(*settings))
            return index.search(asked, K)[1]

        return find

    groups = [[(probed, refined) for refined in _REFINED] for probed in geometric_steps(2, lists, 1.4)]
    best = fastest(groups, search, queries, truth, recall).settings
    return f"{best[0]} of {lists} lists, {best[1]} refined", search(best)


def _hnswlib(vectors, queries, truth, recall) -> tuple[str, Search]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=vectors.shape[1])
    index.init_index(max_elements=len(vectors), M=16, ef_construction=200)
    index.add_items(vectors)

    def search(width: int) -> Search:
        def find(asked: np.ndarray) -> np.ndarray:
            index.set_ef(width)
            return index.knn_query(asked, K, num_threads=1)[0].astype(np.int64)

        return find

    best = fastest([geometric_steps(K, 5000, 1.15)], search, queries, truth, recall).settings
    return f"M 16, ef {best}", search(best)


def _print(figures: dict[str, dict[str, Any]], console: Console) -> None:
    table = Table("index", "build s", "settings", "recall@100", "ms", title="One query", title_justify="left")
    for name, found in figures.items():
        seconds, settings, found_of_true, milliseconds = (found[key] for key in _FIGURES)
        table.add_row(name, f"{seconds:.0f}", settings, f"{found_of_true:.4f}", f"{milliseconds:.3f}")
    console.print(table)
