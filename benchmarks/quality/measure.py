"""Ranks of the true items in full score rows, and the figures that follow from them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.quality.dataset import Dataset
from components.evaluator.metrics import ndcg, recall, reciprocal_rank
from models.settings import TOP_KS

_BATCH = 512

Scores = Callable[[np.ndarray], np.ndarray]  # [B] users to [B, n] scores of every item.


def middle_ranks(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Rank of each row's true column, from 1; equal scores share their middle rank.

    Args:
      scores: [B, n]; -inf leaves a column out.
      true: [B] columns.
    """
    of_true = scores[np.arange(len(true)), true][:, np.newaxis]
    above, equal = (scores > of_true).sum(1), (scores == of_true).sum(1)
    return np.where(np.isneginf(of_true[:, 0]), np.inf, 1 + above + (equal - 1) / 2)


def measure(data: Dataset, scores: Scores) -> dict[str, float]:
    """Figures of a model whose scores depend on the user alone; every eval interaction is one query."""
    unfiltered, filtered = np.empty(len(data.eval_users)), np.empty(len(data.eval_users))
    users, first, counts = np.unique(data.eval_users, return_index=True, return_counts=True)
    per_user = []
    for start in range(0, len(users), _BATCH):
        rows = scores(users[start : start + _BATCH])
        for row, offset in zip(rows, range(start, start + len(rows)), strict=True):
            queries = slice(first[offset], first[offset] + counts[offset])
            true = data.eval_items[queries]
            unfiltered[queries] = _ranks_in_one_row(row, true)
            row = row.astype(np.float64)
            if not data.repeats:
                row[data.train[users[offset]].indices] = -np.inf
            filtered[queries] = _ranks_in_one_row(row, true)
            per_user.append(filtered[queries][np.unique(true, return_index=True)[1]])  # Each item once.
    figures = _figures(unfiltered, filtered)
    figures["filtered_recall_at_10_per_user"] = float(np.mean([recall(ranks[np.newaxis], 10) for ranks in per_user]))
    figures["filtered_ndcg_at_10_per_user"] = float(np.mean([ndcg(ranks[np.newaxis], 10) for ranks in per_user]))
    for name, which in (("warm", data.warm), ("cold", ~data.warm)):
        if which.any():
            figures[f"{name}_filtered_top_100_categorical_accuracy"] = _top(filtered[which], 100)
            figures[f"{name}_filtered_ndcg_at_10"] = _ndcg_at_10(filtered[which])
    return figures


def _ranks_in_one_row(row: np.ndarray, true: np.ndarray) -> np.ndarray:
    return middle_ranks(np.broadcast_to(row, (len(true), len(row))), true)


def _figures(unfiltered: np.ndarray, filtered: np.ndarray) -> dict[str, float]:
    return {
        **{f"top_{k}_categorical_accuracy": _top(unfiltered, k) for k in TOP_KS},
        **{f"filtered_top_{k}_categorical_accuracy": _top(filtered, k) for k in TOP_KS},
        "filtered_ndcg_at_10": _ndcg_at_10(filtered),
        "filtered_mrr": float(np.mean(reciprocal_rank(filtered[:, np.newaxis]))),
    }


def _top(ranks: np.ndarray, k: int) -> float:
    """Share of queries, with one relevant item each, that have it within the first k."""
    return float(np.mean(recall(ranks[:, np.newaxis], k)))


def _ndcg_at_10(ranks: np.ndarray) -> float:
    return float(np.mean(ndcg(ranks[:, np.newaxis], 10)))
