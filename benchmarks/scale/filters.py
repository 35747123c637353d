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
_ROUNDS = 3  # Of everything in turns, so that other work on the machine slows all alike.
_SECONDS = 1.0  # A round, for the rest of a request.
_VALUES = (2, 20, 200)  # Of a feature: a filter keeps the items of one.
_NO_FILTER = "none"

_RECALL = Target("least recall@100 under a filter", True, 0.98)
_TIME = Target("slowest p50 of a request under a filter ÷ without one", False, 3.0)

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
    rest_of_a_request = _rest_of_a_request(newest(model_dir))
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
    times: dict[str, list[float]] = {name: [] for name in ("", _NO_FILTER, *features)}
    figures: dict[str, Any] = {"build_seconds": seconds, "share": leaves.share, "most": leaves.most}
    with tempfile.TemporaryDirectory() as directory:
        search = _in_servable(index, filters, dimensions, directory)
        for _ in range(_ROUNDS):
            times[""] += milliseconds(rest_of_a_request, _SECONDS).tolist()
            for name, values in {_NO_FILTER: np.zeros(candidates, int), **features}.items():
                wanted = np.random.default_rng(2).integers(values.max() + 1, size=len(others))
                found, of_one = _answers(search, others, "" if name == _NO_FILTER else name, wanted)
                times[name] += of_one[_WARM_UP:]
                if name not in figures:
                    kept = float(np.mean(values == wanted[0]))
                    figures[name] = {"kept": kept} | _recall(found, vectors, others, values, wanted)
    for name in (_NO_FILTER, *features):
        figures[name]["milliseconds"] = float(np.median(times[name]))
        figures[name]["p99_milliseconds"] = float(np.quantile(times[name], 0.99))
    rest = figures["rest_milliseconds"] = float(np.median(times[""]))
    _print(figures, console)
    least = min(figures[name]["recall_at_100"] for name in features)
    slowest = max(figures[name]["milliseconds"] for name in features)
    ratios = [(_RECALL, least), (_TIME, (rest + slowest) / (rest + figures[_NO_FILTER]["milliseconds"]))]
    print_targets(ratios, console)
    if json_file:
        content = figures | {"ratios": {target.name: value for target, value in ratios}}
        Path(json_file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _rest_of_a_request(path: str) -> Callable[[], object]:
    """`recommend` for a visitor."""
    import scann  # noqa: F401

    recommend = tf.saved_model.load(path).signatures["recommend"]
    dtypes = {name: spec.dtype for name, spec in recommend.structured_input_signature[1].items()}
    unknown = {name: [""] if dtype == tf.string else [math.nan] for name, dtype in dtypes.items()}
    inputs = unknown | query_inputs([""], [[]], None)
    asked = {name: tf.constant(values, dtypes[name]) for name, values in inputs.items()}
    return lambda: recommend(**asked)


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


def _answers(search: Search, queries: np.ndarray, feature: str, wanted: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """[Q, k] rows that are found for queries asked one by one, and the milliseconds of each."""
    found, times = [], []
    for query, value in zip(queries, wanted.tolist(), strict=True):
        started = time.perf_counter()
        found.append(search(query, feature, value))
        times.append((time.perf_counter() - started) * 1000)
    return np.array(found), times


def _recall(
    found: np.ndarray, vectors: np.ndarray, queries: np.ndarray, values: np.ndarray, wanted: np.ndarray
) -> dict[str, float]:
    """Against exact search among the items of the value wanted."""
    truth = np.empty([len(queries), K], np.int64)
    for value in np.unique(wanted):
        rows, asked = np.flatnonzero(values == value), np.flatnonzero(wanted == value)
        truth[asked] = rows[true_neighbours(vectors[rows], queries[asked], K)]
    of_queries = recalls(found, truth)
    return {"recall_at_100": float(of_queries.mean()), "tenth_recall_at_100": float(np.quantile(of_queries, 0.1))}


def _print(figures: dict[str, Any], console: Console) -> None:
    title = (
        f"One search; {figures['share']:.4f} of the best expected in what is searched, "
        f"{figures['most']:,} items at most; "
        f"the rest of a request: {figures['rest_milliseconds']:.2f} ms"
    )
    table = Table("filter", "keeps %", "recall@100", "of the worst tenth", "ms p50", "ms p99", title=title)
    for name, found in figures.items():
        if isinstance(found, dict):
            recall, tenth = (f"{found[key]:.4f}" for key in ("recall_at_100", "tenth_recall_at_100"))
            times = (f"{found[key]:.2f}" for key in ("milliseconds", "p99_milliseconds"))
            table.add_row(name.replace("_", ", 1 of "), f"{100 * found['kept']:.1f}", recall, tenth, *times)
    console.print(table)
