"""Whether the servable does what was trained: its scores and its index, against the trained models themselves."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.queries import Queries, raw_bytes
from models import inputs
from models.catalogue import Catalogue, model_features
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.features.preprocessing import row_key

_READ_BATCH = 4096
_RECALL_K = 100


class Parity:
    """Compares a servable with the models that it was built from.

    Args:
      model: the servable.
      retrieval, ranking: what the Trainers exported.
      features: of the data set.
      transform: what Transform made.
      examples: patterns of raw eval examples.
      rows: how many of them to look at.

    Attributes:
      model: the servable.
      examples: those that are looked at.
    """

    def __init__(
        self,
        model,
        retrieval,
        ranking,
        features: FeatureSet,
        transform: tft.TFTransformOutput,
        examples: Collection[str],
        rows: int,
    ):
        self.model, self._retrieval, self._ranking, self._transform = model, retrieval, ranking, transform
        self._features, self._names = features, features.query_names()
        some = map(tf.train.Example.FromString, inputs.read_records(examples, _READ_BATCH))
        # The servable has no features for users without train rows, and neither has a request.
        self.examples = [example for example in some if not self._fields(example) or _history(example)][:rows]

    def score_difference(self, transformed: Collection[str]) -> float | None:
        """Largest relative difference of what `rank` gives between training and serving; None without a row.

        Training's side is Transform's materialised output of the same rows, given to the trained models.

        Args:
          transformed: patterns of Transform's eval examples.
        """
        if not self.examples:
            return None
        queries = Queries.of(self.examples)
        served = queries.ask(self.model, "rank", item_id=tf.constant(queries.items)[:, tf.newaxis])
        keys = row_key(queries.inputs[f.USER_ID], queries.items, queries.inputs[f.TIMESTAMP]).numpy()
        place = {key: number for number, key in enumerate(keys)}
        differences = np.full(len(keys), np.inf)  # Where a row is not found.
        for batch in inputs.dataset(transformed, self._transform, _READ_BATCH):
            found = [number for number, key in enumerate(batch[f.ROW_KEY].numpy()) if key in place]
            if found:
                rows = {name: tf.gather(values, found) for name, values in batch.items()}
                order = [place[key] for key in rows[f.ROW_KEY].numpy()]
                pairs = [(trained, served[name][order, 0]) for name, trained in self._scores(rows).items()]
                differences[order] = np.max([np.abs(a - b) / (1 + np.abs(a)) for a, b in pairs], axis=0)
        return float(min(differences.max(), np.finfo(np.float32).max))

    def _scores(self, rows: inputs.Batch) -> dict[str, np.ndarray]:
        """What `rank` gives for the rows' own items, [n] each, from the trained models."""
        query = {name: rows[name] for name in self._names}
        item = {name: rows[name] for name in self._features.candidate_names()}
        retrieval = tf.reduce_sum(self._retrieval.query(query) * self._retrieval.candidate(item), axis=1)
        ranked = self._ranking.score(query, self._ranking.candidate(item)[:, tf.newaxis])
        scores = {"score": retrieval + ranked.pop("added")[:, 0]} | {name: one[:, 0] for name, one in ranked.items()}
        return {name: values.numpy() for name, values in scores.items()}

    def index_recall(self, catalogue: Catalogue) -> float | None:
        """Recall of the exact best 100 items by `retrieve`, over unknown users with the histories of eval rows.

        Exact are the inner products of the trained towers' own embeddings.
        """
        if not self.examples:
            return None
        unknown_users = [self._as_unknown_user(example) for example in self.examples]
        spec = self._transform.raw_feature_spec()
        raw = tf.io.parse_example([example.SerializeToString() for example in unknown_users], spec)
        features = model_features(raw, self._transform)
        query = self._retrieval.query({name: features[name] for name in self._names})
        items = self._retrieval.candidate({name: tf.constant(values) for name, values in catalogue.features.items()})
        row_of = {item: row for row, item in enumerate(catalogue.ids)}
        served = Queries.of(unknown_users).ask(self.model, "retrieve")["item_id"]
        k = min(_RECALL_K, served.shape[1])
        recalls = []
        for example, vector, found in zip(unknown_users, query, served, strict=True):  # All scores would not fit.
            scores = tf.linalg.matvec(items, vector).numpy()
            scores[[row_of[item] for item in _history(example) if item in row_of]] = -np.inf
            best = tf.math.top_k(scores, min(k, np.isfinite(scores).sum())).indices.numpy()
            recalls.append(len(set(catalogue.ids[best]) & set(found[:k])) / max(len(best), 1))
        return float(np.mean(recalls))

    def _as_unknown_user(self, example: tf.train.Example) -> tf.train.Example:
        unknown_user = tf.train.Example()
        unknown_user.CopyFrom(example)
        unknown_user.features.feature[f.USER_ID].bytes_list.value[0] = b""
        for name in self._fields(example):
            del unknown_user.features.feature[name]
        return unknown_user

    def _fields(self, example: tf.train.Example) -> list[str]:
        return [name for name in self._features.users if name in example.features.feature]


def _history(example: tf.train.Example) -> list[bytes]:
    return raw_bytes(example, f.HISTORY_ITEM_ID)
