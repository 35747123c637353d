"""`recommender benchmark filters`: the servable's search under filters that keep much and little, and without one."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from benchmarks.searches import K, clusters
from benchmarks.serving.in_process import milliseconds
from benchmarks.serving.served import newest
from benchmarks.targets import Target, print_targets
from components.recommender_builder.filters import Filters
from components.recommender_builder.index import build_index, true_neighbours
from components.recommender_builder.leaves import partition
from components.recommender_builder.settings import Index
from components.recommender_builder.tuning import recalls
from serving.questions import query_inputs

_QUERIES = 200  # To tune with, and as many more to measure with.
_WARM_UP = 10
_SECONDS = 3.0  # For the rest of a request.
_VALUES = (2, 20, 200)  # Of a feature: a filter keeps the items of one.
_NO_FILTER = "none"

_RECALL = Target("least recall@100 under a filter by chance", True, 0.98)
_TIME = Target("slowest p50 of a request under a filter by chance ÷ without one", False, 3.0)

Search = Callable[[np.ndarray, str, int], np.ndarray]  # A query, a feature ("" for none) and its value -> [k] rows.


def run(
    candidates: int, dimensions: int, recall: float, model_dir: str, json_file: str | None, console: Console
) -> None:
    """Measures and prints a table.

    Each feature has equally many items of every value, either by chance or by where the item's vector lies, as
    categories do. A query wants a value that is drawn by chance, so that most want what lies elsewhere. The rest of a
    request does not depend on the filter: it is measured as `recommend` of a model of few items.

    Args:
      candidates, dimensions: of the vectors that are searched.
      recall: share of the true 100 that the search without a filter has to find.
      model_dir: directory of numbered versions, of which the newest is asked.
      json_file: where the figures go as well.
      console: for progress and the table.
    """
    rest = _rest_of_a_request(newest(model_dir))
    draw, rng = clusters(dimensions, noise=1.0), np.random.default_rng(1)
    vectors, queries, others = draw(candidates), draw(_QUERIES), draw(_QUERIES)
    features = {}
    for count in _VALUES:
        features[f"chance_{count}"] = rng.integers(count, size=candidates)
        along = vectors @ rng.normal(size=dimensions).astype(np.float32)
        features[f"place_{count}"] = np.argsort(np.argsort(along)) * count // candidates
    console.print(f"{candidates:,} candidates of {dimensions} dimensions, {os.cpu_count()} processors")
    console.print("Building index and filters …")
    config = Index(candidates=K, recall=recall)
    index = build_index(config, vectors, queries)
    started = time.perf_counter()
    leaves = partition(config, vectors, queries)
    texts = {name: tf.strings.as_string(values)[:, tf.newaxis] for name, values in features.items()}
    lists = {name: tf.RaggedTensor.from_tensor(values) for name, values in texts.items()}
    table = tf.Variable(np.append(vectors, np.zeros_like(vectors[:1]), axis=0), trainable=False)
    filters = Filters(lists, table, np.arange(candidates), leaves)
    seconds = time.perf_counter() - started
    figures: dict[str, Any] = {"build_seconds": seconds, "scored": leaves.scored, "rest_milliseconds": rest}
    with tempfile.TemporaryDirectory() as directory:
        search = _in_servable(index, filters, dimensions, directory)
        figures[_NO_FILTER] = _measured(search, vectors, others, "", np.zeros(candidates, int))
        for name, values in features.items():
            figures[name] = _measured(search, vectors, others, name, values)
    _print(figures, console)
    by_chance = [figures[f"chance_{count}"] for count in _VALUES]
    least, slowest = min(one["recall_at_100"] for one in by_chance), max(one["milliseconds"] for one in by_chance)
    ratios = [(_RECALL, least), (_TIME, (rest + slowest) / (rest + figures[_NO_FILTER]["milliseconds"]))]
    print_targets(ratios, console)
    if json_file:
        content = figures | {"ratios": {target.name: value for target, value in ratios}}
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _rest_of_a_request(path: str) -> float:
    """Median milliseconds of `recommend` for a visitor."""
    import scann  # noqa: F401

    recommend = tf.saved_model.load(path).signatures["recommend"]
    dtypes = {name: spec.dtype for name, spec in recommend.structured_input_signature[1].items()}
    unknown = {name: [""] if dtype == tf.string else [math.nan] for name, dtype in dtypes.items()}
    inputs = unknown | query_inputs([""], [[]], None)
    asked = {name: tf.constant(values, dtypes[name]) for name, values in inputs.items()}
    return float(np.median(milliseconds(lambda: recommend(**asked), _SECONDS)))


def _in_servable(index: tf.Module, filters: Filters, dimensions: int, directory: str) -> Search:
    """Both searches as signatures, saved and loaded."""
    module = tf.Module()
    module.index, module.filters = index, filters
    query = tf.TensorSpec([None, dimensions], tf.float32, name="query")
    wanted = {name: tf.TensorSpec([None, None], tf.string, name=name) for name in filters.features}

    def plain(query: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"row": index.search(query, tf.constant(K))}

    def filtered(query: tf.Tensor, **wanted: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"row": filters.search(index.search, query, filters.read(wanted), tf.constant(K))}

    signatures = {
        "plain": tf.function(plain, autograph=False).get_concrete_function(query=query),
        "filtered": tf.function(filtered, autograph=False).get_concrete_function(query=query, **wanted),
    }
    options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    tf.saved_model.save(module, directory, signatures=signatures, options=options)
    loaded = tf.saved_model.load(directory)
    nothing = {name: tf.constant([[""]]) for name in wanted}

    def search(query: np.ndarray, feature: str, value: int) -> np.ndarray:
        asked = tf.constant(query[np.newaxis])
        if not feature:
            return loaded.signatures["plain"](query=asked)["row"][0].numpy()
        of_feature = nothing | {feature: tf.constant([[str(value)]])}
        return loaded.signatures["filtered"](query=asked, **of_feature)["row"][0].numpy()

    return search


def _measured(search: Search, vectors: np.ndarray, queries: np.ndarray, feature: str, values: np.ndarray) -> dict:
    """Recall against exact search among the items of the value wanted, and milliseconds of one query."""
    wanted = np.random.default_rng(2).integers(values.max() + 1, size=len(queries))
    truth = np.empty([len(queries), K], np.int64)
    for value in np.unique(wanted):
        rows, asked = np.flatnonzero(values == value), np.flatnonzero(wanted == value)
        truth[asked] = rows[true_neighbours(vectors[rows], queries[asked], K)]
    found, times = [], []
    for query, value in zip(queries, wanted.tolist(), strict=True):
        started = time.perf_counter()
        found.append(search(query, feature, value))
        times.append((time.perf_counter() - started) * 1000)
    of_queries = recalls(np.array(found), truth)
    return {
        "kept": float(np.mean(values == wanted[0])),
        "recall_at_100": float(of_queries.mean()),
        "tenth_recall_at_100": float(np.quantile(of_queries, 0.1)),
        "milliseconds": float(np.median(times[_WARM_UP:])),
        "p99_milliseconds": float(np.quantile(times[_WARM_UP:], 0.99)),
    }


def _print(figures: dict[str, Any], console: Console) -> None:
    title = (
        f"One search; {figures['scored']:,} items scored; the rest of a request: {figures['rest_milliseconds']:.2f} ms"
    )
    table = Table("filter", "keeps %", "recall@100", "of the worst tenth", "ms p50", "ms p99", title=title)
    for name, found in figures.items():
        if isinstance(found, dict):
            recall, tenth = (f"{found[key]:.4f}" for key in ("recall_at_100", "tenth_recall_at_100"))
            times = (f"{found[key]:.2f}" for key in ("milliseconds", "p99_milliseconds"))
            table.add_row(name.replace("_", ", 1 of "), f"{100 * found['kept']:.1f}", recall, tenth, *times)
    console.print(table)
