"""What will be wanted at a moment, from what was before it: a forecast by decayed counts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import optimize

_HOUR, _DAY = 3600.0, 86_400.0
_DECAYS = np.array([_HOUR, *(days * _DAY for days in (1, 7, 30, 90, 365)), np.inf])[:, np.newaxis]
_FEW = 0.1  # Interactions; so many more or less of them make no difference.
_LATE = 0.2  # Of the rows, the last, that the forecast is fitted on.
_RIDGE = 1.0  # Prior precision of each weight around zero.
_CELLS = 2**25  # Of the table of forecasts: 128 MB.


class Interactions(NamedTuple):
    """Rows in order of time; [R] each."""

    item: np.ndarray  # Indices.
    time: np.ndarray  # Seconds.
    moment: np.ndarray  # Time buckets, which rise with time.


class Forecast(NamedTuple):
    """log P(item | moment) up to a constant of the moment.

    Attributes:
      of_moments: [G, n] float32, each from the rows before the first of `merged` moments.
      now: [n] float32, from all rows.
      merged: how many neighbouring moments share a row.
      weights: [W] float32, of the logs of the decayed counts.
    """

    of_moments: np.ndarray
    now: np.ndarray
    merged: int
    weights: np.ndarray


def forecast(rows: Interactions, items: int, moments: int) -> Forecast:
    """A weighted sum of log(1 + count / 0.1), where a row t seconds back counts exp(-t / tau), for several tau.

    The weights are those under which the last fifth of the rows is most likely, each among all items: time-aware
    popularity (Ji et al., SIGIR 2020), with the time that popularity lasts learnt from the data. A model that learns
    from all rows cannot fit them itself: it knows from an item's own weights how often it is still to come.

    Args:
      rows: of train.
      items: n.
      moments: how many time buckets there are.
    """
    merged = max(1, -(-moments * items // _CELLS))
    begins = np.append(np.searchsorted(rows.moment, np.arange(0, moments, merged)), len(rows.item))
    weights = _fitted(rows, begins, items)
    logs = np.stack([weights @ table for table in _tables(rows, begins, items)])
    return Forecast(logs[:-1], logs[-1], merged, weights)


def of_last(item: np.ndarray, time: np.ndarray, items: int, weights: np.ndarray) -> np.ndarray:
    """[n] float32 forecast for what comes after rows, which may be others than those that the weights were fitted on.

    Args:
      item, time: [R] of the rows, in any order.
      items: n.
      weights: of a `Forecast`.
    """
    age = time.max() - time
    counts = np.stack([np.bincount(item, np.exp(-age / decay), minlength=items) for decay in _DECAYS[:, 0]])
    return weights @ np.log1p(counts / _FEW).astype(np.float32)


def _tables(rows: Interactions, begins: np.ndarray, items: int) -> Iterator[np.ndarray]:
    """For each place among the rows, [W, n] float32 logs of the decayed counts of those before it."""
    counts = np.zeros([len(_DECAYS), items])
    for begin, end in zip(begins, np.append(begins[1:], begins[-1]), strict=True):
        yield np.log1p(counts / _FEW).astype(np.float32)
        if begin < end:
            until = rows.time[min(end, len(rows.time) - 1)].astype(float)
            counts *= np.exp(-(until - rows.time[begin]) / _DECAYS)
            for count, weights in zip(counts, np.exp(-(until - rows.time[begin:end]) / _DECAYS), strict=True):
                count += np.bincount(rows.item[begin:end], weights, minlength=items)


def _fitted(rows: Interactions, begins: np.ndarray, items: int) -> np.ndarray:
    """[W] float32 weights, none below zero: the conditional logit of the last rows, whose candidates are all items."""
    ends = np.append(begins[1:], begins[-1])
    late = (begins >= len(rows.item) * (1 - _LATE)) & (begins < ends)
    tables = [table for table, is_late in zip(_tables(rows, begins, items), late, strict=True) if is_late]
    wanted = [rows.item[begin:end] for begin, end in zip(begins[late], ends[late], strict=True)]
    of_wanted = sum((table[:, own].sum(axis=1) for table, own in zip(tables, wanted, strict=True)), np.zeros(1))

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = -(weights * of_wanted).sum(), -of_wanted
        for table, own in zip(tables, wanted, strict=True):
            logits = weights.astype(np.float32) @ table
            odds = np.exp(logits - logits.max())
            value += len(own) * (np.log(odds.sum()) + logits.max())
            gradient = gradient + len(own) * (table @ (odds / odds.sum()))
        return value + _RIDGE / 2 * weights @ weights, gradient + _RIDGE * weights

    start = np.zeros(len(_DECAYS))
    bounds = [(0.0, None)] * len(start)
    return optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x.astype(np.float32)
