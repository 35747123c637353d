"""What the ranker counts beside retrieval, fitted on train rows that neither model has learnt from."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.recommender_builder.index import ExactIndex, PartIndex, ScannIndex
from components.recommender_builder.vectors import CandidateVectors
from models.catalogue import Catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.joining import Weights, as_asked, fitted, kept_out, retrieval_scores
from models.queries import Queries, model_batch
from models.timelines import Timelines

_BATCH = 256


def fit_weights(
    train: Timelines,
    features: FeatureSet,
    catalogue: Catalogue,
    retrieval: tf.Module,
    ranking: tf.Module,
    vectors: CandidateVectors,
    index: ExactIndex | ScannIndex | PartIndex,
    candidates: int,
    hidden: np.ndarray,
) -> Weights:
    """Retrieves for what users did next, and ranks; where the data has positives, for those alone.

    Args:
      train: Transform's train rows.
      features: of the data set.
      catalogue: the n candidates.
      retrieval, ranking: what the Trainers have exported.
      vectors: of the candidates.
      index: over those of retrieval.
      candidates: how many a request ranks.
      hidden: [n + 1] which of the candidates are never recommended.
    """
    rows = kept_out(train, catalogue.ids)
    rows = rows[~hidden[train.rows[f.ITEM_ID][rows]]]
    if f.POSITIVE in train.rows:
        rows = rows[train.rows[f.POSITIVE][rows] > 0]
    if features.histories.both_sides:
        queries, places = Queries(train, features.histories), rows
    else:
        before, asked = as_asked(train, rows)
        queries, places = Queries(before, features.histories, asked), np.arange(len(rows))
    unknown, most = len(catalogue), len(catalogue) - int(hidden.sum())
    wanted = min(candidates, most)
    indices = tf.constant(catalogue.features[f.ITEM_ID])
    found = []
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        batch = model_batch(queries.at(tf.constant(places[start : start + _BATCH])))
        query = {name: batch[name] for name in features.query_names()}
        history = batch[f.HISTORY_ITEM_ID].numpy()  # An item's index is its row, and padding is below 0.
        history = np.where((history >= 0) & hidden[history], f.PADDING, history)
        of_query = retrieval.query(query)
        nearest = index.search(of_query, tf.constant(min(wanted + history.shape[1], most))).numpy()
        items = _candidates(nearest, history, wanted, unknown, features.histories.repeats)
        logits = vectors.logits(of_query, items)
        scores = retrieval_scores(retrieval, features.histories, of_query, query, tf.gather(indices, items), logits)
        ranked = ranking.score(query, tf.gather(vectors.ranking, items))
        preference = ranked.get("preference", tf.zeros_like(scores))
        parts = tf.stack([ranked["choice"], preference], axis=2).numpy()
        scores = np.where(items == unknown, -np.inf, scores.numpy())
        is_target = items == train.rows[f.ITEM_ID][some][:, np.newaxis]
        hit = is_target.any(axis=1)
        found.append((scores[hit], parts[hit], is_target[hit].argmax(axis=1)))
    return fitted(*_stacked(found)) if found else Weights()


def _candidates(nearest: np.ndarray, history: np.ndarray, wanted: int, unknown: int, repeats: bool) -> np.ndarray:
    """[B, M] rows to rank, each once: of the nearest those that were not had, or, where items repeat, both."""
    lists = []
    for near, had in zip(nearest, history, strict=True):
        had = np.unique(had[had >= 0])
        near = near[near < unknown]
        fresh = near[~np.isin(near, had)][:wanted]
        lists.append(np.concatenate([had, fresh]) if repeats else fresh)
    width = max(map(len, lists))
    return np.stack([np.append(one, np.full(width - len(one), unknown)) for one in lists]).astype(np.int32)


def _stacked(found: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All queries, whose lists are filled up to the longest."""
    width = max(scores.shape[1] for scores, _, _ in found)

    def wide(values: np.ndarray, filler: float) -> np.ndarray:
        more = [(0, 0), (0, width - values.shape[1])] + [(0, 0)] * (values.ndim - 2)
        return np.pad(values, more, constant_values=filler)

    return (
        np.concatenate([wide(scores, -np.inf) for scores, _, _ in found]),
        np.concatenate([wide(parts, 0.0) for _, parts, _ in found]),
        np.concatenate([target for _, _, target in found]),
    )
