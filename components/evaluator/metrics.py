"""Metrics of our own for TFMA, as Beam combiners.

An extract holds many queries: every array of its predictions and labels has them along its first dimension.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics import metric_types, metric_util

from components.evaluator.ranks import NOTHING

NDCG_LENGTH = 10
_AUC_BINS = 1000
_FEW_LISTS = 10
_NO_SPREAD = 1e-9  # Of the squares: what rounding makes of ratings that are all the same.


def recall(ranks: np.ndarray, k: int) -> np.ndarray:
    """[n] shares of each query's relevant items within the first k; with one relevant item, top-k accuracy.

    Args:
      ranks: [n, R] ranks of the relevant items, from 1, infinite where not found; NaN fills short rows up.
      k: length of the list.
    """
    return (ranks <= k).sum(axis=1) / _relevant(ranks)


def ndcg(ranks: np.ndarray, k: int) -> np.ndarray:
    """[n] nDCG@k with binary relevance: sum of 1 / log2(1 + rank) within the first k, over its largest possible value.

    Järvelin and Kekäläinen, TOIS 2002. With one relevant item this is 1 / log2(1 + rank). Arguments as for `recall`.
    """
    gains = np.where(ranks <= k, 1 / np.log2(1 + np.where(ranks <= k, ranks, 1)), 0).sum(axis=1)
    ideal = np.cumsum(1 / np.log2(2 + np.arange(k)))
    return gains / ideal[np.clip(_relevant(ranks), 1, k) - 1]


def reciprocal_rank(ranks: np.ndarray) -> np.ndarray:
    """[n] 1 / rank of the first relevant item, 0 where none is found. Argument as for `recall`."""
    return 1 / np.fmin.reduce(ranks, axis=1)


def _relevant(ranks: np.ndarray) -> np.ndarray:
    return (~np.isnan(ranks)).sum(axis=1)


class ListQuality(tfma.metrics.Metric):
    """`queries`, `recall_at_K` for each K, `ndcg_at_K` and `mrr`: means over the queries that have a relevant item.

    The prediction is [n, R], as for `recall`.
    """

    def __init__(self, ks: Sequence[int], ndcg_k: int = NDCG_LENGTH, name: str = "list_quality"):
        super().__init__(metric_util.merge_per_key_computations(_list_quality), ks=list(ks), ndcg_k=ndcg_k, name=name)


class RatingErrors(tfma.metrics.Metric):
    """`rmse`, `mae`, `calibration`, and `rmse_over_constant`. Prediction and label are [n].

    Calibration is the mean prediction over the mean label. The last is the RMSE over that of the best constant, the
    labels' standard deviation, so it does not depend on the scale of the ratings: one and above means that nothing was
    learnt. It is zero where all labels are the same, as there is nothing to learn then.
    """

    def __init__(self, name: str = "rating_errors"):
        super().__init__(metric_util.merge_per_key_computations(_rating_errors), name=name)


class Auc(tfma.metrics.Metric):
    """Share of the pairs of a positive and a negative query that the predicted probability, [n], orders rightly.

    Mann and Whitney, 1947. Probabilities that agree to a thousandth are ties, which count half. TFMA's own AUC is
    the same, but looks at one query at a time, which took a third of the evaluation's time.
    """

    def __init__(self, name: str):
        super().__init__(metric_util.merge_per_key_computations(_auc), name=name)


class Accuracy(tfma.metrics.Metric):
    """Share of the queries whose predicted probability, [n], is on the side of one half that the label says."""

    def __init__(self, name: str):
        super().__init__(metric_util.merge_per_key_computations(_accuracy), name=name)


class MeanOfQueries(tfma.metrics.Metric):
    """The mean of a prediction, [n], that is itself a figure of each query."""

    def __init__(self, name: str):
        super().__init__(metric_util.merge_per_key_computations(_mean), name=name)


class StandardError(tfma.metrics.Metric):
    """The standard error of the mean of a prediction, [n], without those that are NaN."""

    def __init__(self, name: str = "standard_error"):
        super().__init__(metric_util.merge_per_key_computations(_standard_error), name=name)


class CatalogueCoverage(tfma.metrics.Metric):
    """Share of the catalogue that is recommended to anybody. The prediction is [n, K] rows of it, below 0 for none.

    `coverage_in_lists` is how many lists these items would fill: 1 where everybody gets the same one. It is NaN where
    the catalogue fills fewer than `_FEW_LISTS`.
    """

    def __init__(self, catalogue_size: int, name: str = "catalogue_coverage"):
        super().__init__(metric_util.merge_per_key_computations(_coverage), catalogue_size=catalogue_size, name=name)


for _metric in (ListQuality, RatingErrors, Auc, Accuracy, MeanOfQueries, StandardError, CatalogueCoverage):
    metric_types.register_metric(_metric)


class _Sums(beam.CombineFn):
    """Accumulates a vector of sums, and turns it into the values of a metric's keys.

    Args:
      names: of the values.
      size: of the vector.
      add: an extract's predictions and labels to the sums over its queries.
      finish: the sums over all queries to the values; NaN where there is none.
      model_name, output_name: whose predictions.
    """

    def __init__(self, names, size, add, finish, model_name, output_name):
        self._keys = [metric_types.MetricKey(name, model_name=model_name, output_name=output_name) for name in names]
        self._size, self._add, self._finish = size, add, finish

    @property
    def keys(self):
        return self._keys

    def create_accumulator(self):
        return np.zeros(self._size)

    def add_input(self, accumulator, element):
        key = self._keys[0]
        predictions = element.get_predictions(key.model_name, key.output_name)
        return accumulator + self._add(predictions, element.get_labels(key.model_name, key.output_name))

    def merge_accumulators(self, accumulators):
        return sum(accumulators)

    def extract_output(self, accumulator):
        with np.errstate(invalid="ignore", divide="ignore"):
            return dict(zip(self._keys, map(float, self._finish(accumulator)), strict=True))


def _computation(combiner: _Sums) -> list[metric_types.MetricComputation]:
    return [metric_types.MetricComputation(combiner.keys, None, combiner)]


def _list_quality(ks, ndcg_k, name, model_name="", output_name="", **_):
    names = ["queries", *(f"recall_at_{k}" for k in ks), f"ndcg_at_{ndcg_k}", "mrr"]

    def add(ranks, _):
        ranks = ranks[_relevant(ranks) > 0]
        values = [np.ones(len(ranks)), *(recall(ranks, k) for k in ks), ndcg(ranks, ndcg_k), reciprocal_rank(ranks)]
        return np.sum(values, axis=1)

    def finish(sums):
        return [sums[0], *(sums[1:] / sums[0])]

    return _computation(_Sums(names, len(names), add, finish, model_name, output_name))


def _rating_errors(name, model_name="", output_name="", **_):
    def add(predicted, labels):
        error = predicted - labels
        of_labels = np.sum(labels), np.sum(labels**2)
        return np.array([len(labels), np.sum(error**2), np.sum(np.abs(error)), np.sum(predicted), *of_labels])

    def finish(sums):
        count, squared, absolute, predicted, total, squares = sums
        spread = squares - total**2 / count
        over_constant = np.sqrt(squared / spread) if spread > _NO_SPREAD * squares else 0.0
        return np.sqrt(squared / count), absolute / count, predicted / total, over_constant

    names = ["rmse", "mae", "calibration", "rmse_over_constant"]
    return _computation(_Sums(names, 6, add, finish, model_name, output_name))


def _auc(name, model_name="", output_name="", **_):
    def add(predicted, labels):
        bins = np.minimum((predicted * _AUC_BINS).astype(int), _AUC_BINS - 1)
        return np.concatenate(
            [np.bincount(bins[(labels > 0.5) == side], minlength=_AUC_BINS) for side in (True, False)]
        )

    def finish(sums):
        positive, negative = np.split(sums, 2)
        below = np.cumsum(negative) - negative / 2
        return [(positive * below).sum() / (positive.sum() * negative.sum())]

    return _computation(_Sums([name], 2 * _AUC_BINS, add, finish, model_name, output_name))


def _accuracy(name, model_name="", output_name="", **_):
    return _mean(name, model_name, output_name, lambda predicted, labels: (predicted > 0.5) == (labels > 0.5))


def _mean(name, model_name="", output_name="", of=lambda values, _: values, **_):
    def add(values, labels):
        return np.array([len(values), np.sum(of(values, labels))])

    return _computation(_Sums([name], 2, add, lambda sums: [sums[1] / sums[0]], model_name, output_name))


def _standard_error(name, model_name="", output_name="", **_):
    def add(values, _):
        values = values[~np.isnan(values)]
        return np.array([len(values), np.sum(values), np.sum(values**2)])

    def finish(sums):
        count, total, squares = sums
        return [np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0) / count)]

    return _computation(_Sums([name], 3, add, finish, model_name, output_name))


def _coverage(catalogue_size, name, model_name="", output_name="", **_):
    names = name, "coverage_in_lists"
    keys = [metric_types.MetricKey(one, model_name=model_name, output_name=output_name) for one in names]
    return [metric_types.MetricComputation(keys, None, _Distinct(keys, catalogue_size))]


class _Distinct(beam.CombineFn):
    def __init__(self, keys, catalogue_size):
        self._keys, self._catalogue_size = keys, catalogue_size

    def create_accumulator(self):
        return set(), 0

    def add_input(self, accumulator, element):
        items, longest = accumulator
        lists = element.get_predictions(self._keys[0].model_name, self._keys[0].output_name)
        items.update(lists[lists >= 0].tolist())
        return items, max(longest, int(np.count_nonzero(lists != NOTHING, axis=-1).max(initial=0)))

    def merge_accumulators(self, accumulators):
        items, longest = zip(*accumulators, strict=True)
        return set().union(*items), max(longest)

    def extract_output(self, accumulator):
        items, longest = len(accumulator[0]), accumulator[1]
        many = self._catalogue_size >= _FEW_LISTS * longest > 0
        return dict(zip(self._keys, (items / self._catalogue_size, items / longest if many else math.nan), strict=True))
