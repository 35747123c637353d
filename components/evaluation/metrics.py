"""Metrics of ranked lists for TFMA, as Beam combiners over the ranks of relevant movies."""

from __future__ import annotations

from collections.abc import Sequence

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util


def recall(ranks: np.ndarray, k: int) -> float:
    """Share of the relevant movies within the first k. With one relevant movie this is top-k categorical accuracy."""
    return float(np.mean(ranks <= k))


def ndcg(ranks: np.ndarray, k: int) -> float:
    """nDCG@k with binary relevance: sum of 1 / log2(1 + rank) over the first k, divided by its largest possible value.

    Järvelin and Kekäläinen, TOIS 2002. With one relevant movie this is 1 / log2(1 + rank).
    """
    if not (ranks <= k).any():
        return 0.0
    ideal = np.sum(1 / np.log2(2 + np.arange(min(len(ranks), k))))
    return float(np.sum(1 / np.log2(1 + ranks[ranks <= k])) / ideal)


class ListQuality(tfma.metrics.Metric):
    """`recall_at_K` for each K and `ndcg_at_10`, means over the queries that have a relevant movie.

    The prediction is the array of the relevant movies' ranks in the list.
    """

    def __init__(self, ks: Sequence[int], ndcg_k: int = 10, name: str = "list_quality"):
        super().__init__(_list_quality, ks=list(ks), ndcg_k=ndcg_k, name=name)


class LiftOverBaseline(tfma.metrics.Metric):
    """A model's hits within the first k, divided by the baseline's.

    The prediction is the pair of the model's and the baseline's rank of the true movie. Without any hit of the
    baseline the lift is infinite where the model has one, else zero.
    """

    def __init__(self, k: int, name: str):
        super().__init__(metric_util.merge_per_key_computations(_lift), k=k, name=name)


class ErrorOverConstant(tfma.metrics.Metric):
    """RMSE divided by that of the best constant prediction, which is the labels' standard deviation.

    It does not depend on the scale of the ratings: one and above means that nothing was learnt. Zero where all labels
    are the same, as there is nothing to learn then.
    """

    def __init__(self, name: str):
        super().__init__(metric_util.merge_per_key_computations(_error_over_constant), name=name)


metric_types.register_metric(ListQuality)
metric_types.register_metric(LiftOverBaseline)
metric_types.register_metric(ErrorOverConstant)


def _list_quality(ks, ndcg_k, output_names, model_names=("",), **_):
    # One computation for all outputs: TFMA's cost is by computation, example and slice.
    (model_name,) = model_names
    names = [*(f"recall_at_{k}" for k in ks), f"ndcg_at_{ndcg_k}"]
    keys = [
        metric_types.MetricKey(name, model_name=model_name, output_name=output_name)
        for output_name in output_names
        for name in names
    ]
    return [metric_types.MetricComputation(keys, None, _MeansOfRanks(keys, model_name, output_names, ks, ndcg_k))]


class _MeansOfRanks(beam.CombineFn):
    """Accumulates, by output, the number of queries with a relevant movie and the sums of their values."""

    def __init__(self, keys, model_name, output_names, ks, ndcg_k):
        self._keys, self._model_name, self._output_names = keys, model_name, output_names
        self._ks, self._ndcg_k = np.array(ks), ndcg_k

    def create_accumulator(self):
        return np.zeros(len(self._output_names)), np.zeros((len(self._output_names), len(self._ks) + 1))

    def add_input(self, accumulator, element):
        queries, totals = accumulator
        for row, output_name in enumerate(self._output_names):
            ranks = element.get_predictions(self._model_name, output_name)
            if ranks.size:
                queries[row] += 1
                totals[row, :-1] += (ranks[:, np.newaxis] <= self._ks).mean(axis=0)
                totals[row, -1] += ndcg(ranks, self._ndcg_k)
        return accumulator

    def merge_accumulators(self, accumulators):
        queries, totals = zip(*accumulators, strict=True)
        return sum(queries), sum(totals)

    def extract_output(self, accumulator):
        queries, totals = accumulator
        with np.errstate(invalid="ignore"):
            means = totals / queries[:, np.newaxis]  # NaN for an output without any query.
        return dict(zip(self._keys, means.ravel().tolist(), strict=True))


def _lift(k, name, model_name="", output_name="", **_):
    key = metric_types.MetricKey(name, model_name=model_name, output_name=output_name)
    return [metric_types.MetricComputation([key], None, _HitRatio(key, k))]


class _HitRatio(beam.CombineFn):
    def __init__(self, key, k):
        self._key, self._k = key, k

    def create_accumulator(self):
        return np.zeros(2)

    def add_input(self, accumulator, element):
        return accumulator + (_prediction(element, self._key) <= self._k)

    def merge_accumulators(self, accumulators):
        return sum(accumulators)

    def extract_output(self, accumulator):
        model, baseline = accumulator
        return {self._key: float(model / baseline) if baseline else (float("inf") if model else 0.0)}


def _error_over_constant(name, model_name="", output_name="", **_):
    key = metric_types.MetricKey(name, model_name=model_name, output_name=output_name)
    return [metric_types.MetricComputation([key], None, _ErrorRatio(key))]


class _ErrorRatio(beam.CombineFn):
    def __init__(self, key):
        self._key = key

    def create_accumulator(self):
        return np.zeros(4)  # Examples, squared errors, labels, squared labels.

    def add_input(self, accumulator, element):
        label = float(np.squeeze(element.get_labels(self._key.model_name, self._key.output_name)))
        error = float(np.squeeze(_prediction(element, self._key))) - label
        return accumulator + np.array([1, error**2, label, label**2])

    def merge_accumulators(self, accumulators):
        return sum(accumulators)

    def extract_output(self, accumulator):
        count, squared_error, total, squares = accumulator
        spread = squares - total**2 / count if count else 0.0
        return {self._key: float(np.sqrt(squared_error / spread)) if spread > 0 else 0.0}


def _prediction(element: metric_types.StandardMetricInputs, key: metric_types.MetricKey) -> np.ndarray:
    return np.asarray(element.get_predictions(key.model_name, key.output_name), float)
