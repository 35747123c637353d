"""How the two stages' scores are joined: weights fitted on train rows that neither model learns from.

Candidates are ordered by s + a · choice + b · log P(positive), s being the retrieval score. a and b are those of the
conditional logit (McFadden 1974) under which what users did next is most likely among what was retrieved.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy import optimize

from models import inputs
from models.features import names as f
from models.features.feature_set import Histories
from models.timelines import Timelines, last_of_users

_SHARE, _MOST = 0.02, 5000  # Of the train rows, and at most.
_FEW, _LARGEST_SHARE = 200, 0.1  # Of little data so many rows, unless they are a larger share than this.
_LATE = 0.2  # Of a user's rows, the last, that they are taken from.
_LEAST = 50  # Queries with their item among the candidates; with fewer nothing can be fitted.
_RIDGE = 1.0  # Prior precision of each weight around retrieval alone: it matters where there are few queries.
_SIGNIFICANT = 6.0  # Twice the log of the likelihoods' ratio: chi-square of two degrees of freedom, at 5 %.
_LEAST_SCALE = 0.05
PARTS = ("choice", "preference")  # Of what the ranker exports, those that order; the others are shown.
_ALONE = np.array([1.0, 0.0, 0.0])  # Retrieval, choice, preference.


def kept_out(train: Timelines, items: np.ndarray) -> np.ndarray:
    """Train rows, rising, that no model learns from: drawn from the last part of each user's, by a hash of each row.

    So a later training, whose rows are these and some more at the users' ends, keeps out hardly any that an earlier one
    has learnt from.

    Args:
      train: the rows.
      items: [n] ids, bytes, of the catalogue.
    """
    few = min(_FEW, int(len(train) * _LARGEST_SHARE))
    most = min(max(int(len(train) * _SHARE), few), _MOST)
    late = np.flatnonzero(last_of_users(train.starts, _LATE))
    of_item = np.array([zlib.crc32(item) for item in items.tolist()], np.uint64)
    of_row = of_item[train.rows[f.ITEM_ID][late]] << np.uint64(32) | train.rows[f.TIMESTAMP][late].astype(np.uint64)
    return np.sort(late[np.argsort(_mixed(of_row), kind="stable")[:most]])


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """[R] uint64 that look random, by splitmix64's finaliser (Steele, Lea and Flood, OOPSLA 2014)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


def as_asked(train: Timelines, rows: np.ndarray) -> tuple[Timelines, Timelines]:
    """The train rows before the last part of each user's, and these rows of that part.

    So what was known is as old as it is for the rows that the Evaluator asks about.
    """
    chosen = np.zeros(len(train), bool)
    chosen[rows] = True
    return _filtered(train, ~last_of_users(train.starts, _LATE)), _filtered(train, chosen)


def _filtered(timelines: Timelines, which: np.ndarray) -> Timelines:
    before = np.concatenate([[0], np.cumsum(which)]).astype(np.int64)
    rows = {name: values[which] for name, values in timelines.rows.items()}
    return Timelines(timelines.users, before[timelines.starts], rows)


def retrieval_scores(
    retrieval: tf.Module,
    histories: Histories,
    vectors: tf.Tensor,
    query: inputs.Batch,
    items: tf.Tensor,
    logits: tf.Tensor,
) -> tf.Tensor:
    """[B, M] scores of the first stage.

    Args:
      retrieval: what the Trainer exports.
      histories: whether items repeat; where they do not, the scores are the logits.
      vectors: [B, D] of the queries.
      query: their model features.
      items: [B, M] indices, or [1, M] for all queries.
      logits: [B, M] products of vectors and items.
    """
    if not histories.repeats:
        return logits
    return retrieval.again(vectors, query[f.HISTORY_ITEM_ID], query[f.HISTORY_GAP], items, logits)


class Weights(NamedTuple):
    """What the ranker's parts count beside a retrieval score of weight 1.

    Attributes:
      choice: of its log P(item | query).
      preference: of log P(positive | query, item).
      queries: how many they were fitted on; with too few, or where the ranker does not help, the order is retrieval's.
      gain: nDCG@10 with them over that without, on those queries.
    """

    choice: float = 0.0
    preference: float = 0.0
    queries: int = 0
    gain: float = 1.0

    @property
    def counts_nothing(self) -> bool:
        """Whether the order is retrieval's."""
        return not (self.choice or self.preference)

    def added(self, ranked: Mapping[str, Any]) -> Any:
        """What the ranker's `choice` and, where there is one, `preference` add to the retrieval scores."""
        added = self.choice * ranked["choice"]
        return added + self.preference * ranked["preference"] if "preference" in ranked else added


def fitted(scores: np.ndarray, parts: np.ndarray, target: np.ndarray) -> Weights:
    """Fits the weights.

    Args:
      scores: [Q, N] retrieval scores; -inf where there is no candidate.
      parts: [Q, N, 2] choice and log P(positive), of which a part that is not there is 0.
      target: [Q] the place of what the user did next among the candidates.
    """
    if len(target) < _LEAST:
        return Weights()
    there = np.isfinite(scores)
    centred = np.where(there[:, :, np.newaxis], parts - parts[np.arange(len(target)), target][:, np.newaxis], 0.0)
    own = np.where(there, scores, 0.0)
    own = own - own[np.arange(len(target)), target][:, np.newaxis]
    features = np.concatenate([own[:, :, np.newaxis], centred], axis=2)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits = np.where(there, features @ weights, -np.inf)  # The target's is 0.
        top = logits.max(axis=1, keepdims=True)
        odds = np.exp(logits - top)
        total = odds.sum(axis=1, keepdims=True)
        value = (np.log(total) + top).sum()
        gradient = np.einsum("qn,qnf->f", odds / total, features)
        distance = weights - _ALONE
        return value + _RIDGE / 2 * distance @ distance, gradient + _RIDGE * distance

    free = [(_LEAST_SCALE, None), (0, None), (0, None)]
    joined, alone = (
        optimize.minimize(loss, _ALONE, jac=True, method="L-BFGS-B", bounds=bounds)
        for bounds in (free, [free[0], (0, 0), (0, 0)])
    )
    if 2 * (alone.fun - joined.fun) < _SIGNIFICANT:
        return Weights(queries=len(target))
    choice, preference = (float(one) for one in joined.x[1:] / joined.x[0])
    before, after = (_ndcg(own + centred @ np.array(weights), there) for weights in ([0, 0], [choice, preference]))
    gains = after - before
    # A likelier order is not always a better list. And choice estimates again what retrieval does: alone it has to gain
    # by a standard error, or it is chance (the rule of Breiman et al., 1984).
    least = 0.0 if parts[:, :, 1].any() else gains.std() / np.sqrt(len(gains))
    if gains.mean() < least:
        return Weights(queries=len(target))
    return Weights(choice, preference, len(target), float(after.mean() / before.mean()) if before.any() else 1.0)


def _ndcg(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    """[Q] nDCG@10 of targets, whose score is 0; equal scores count as above it."""
    ranks = np.count_nonzero(there & (scores >= 0), axis=1)
    return np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)
