"""Whether the servable does what was trained: its scores and its index, against the trained models themselves."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.evaluator.shards import Split
from components.queries import ask, assume, first_files, read_queries, request
from components.tables import shards
from models import inputs
from models.catalogue import Catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.features.preprocessing import unknown_user
from models.joining import PARTS, Weights, retrieval_scores
from models.queries import Queries, model_batch
from models.timelines import read_timelines, transformed_layout

_RECALL_K = 100


class Parity:
    """Compares a servable with the models that it was built from, on some eval rows.

    Args:
      model: the servable, which is made to know the train rows of the users that are looked at, and nothing else.
      retrieval, ranking: what the Trainers exported.
      features: of the data set.
      transform: what Transform made.
      catalogue: the n candidates.
      hidden: [n] which of them are never recommended.
      train, held_out: where the splits are.
      rows: how many eval rows to look at.
      weights: what the ranker's parts count in the servable, as `joining.Weights`.

    Attributes:
      model: the servable.
      batch: the raw queries that are looked at.
      inputs: they as a request.
    """

    def __init__(
        self,
        model,
        retrieval,
        ranking,
        features: FeatureSet,
        transform: tft.TFTransformOutput,
        catalogue: Catalogue,
        hidden: np.ndarray,
        train: Split,
        held_out: Split,
        rows: int,
        weights: Weights,
    ):
        self._weights, self._hidden = weights, hidden
        self.model, self._retrieval, self._ranking = model, retrieval, ranking
        self._features, self._names, self._catalogue = features, features.query_names(), catalogue
        names = first_files(held_out.raw, rows)

        def files(split_uri: str) -> list[str]:
            return [path for name, path in shards.paths(split_uri).items() if name in names]

        raw, known = read_queries(files(train.raw), files(held_out.raw), features)
        assume(model, known)
        layout = transformed_layout(features, transform)
        of_train, of_eval = (read_timelines(files(split.transformed), layout) for split in (train, held_out))
        transformed = Queries(of_train, features.histories, of_eval)
        some = tf.range(min(rows, raw.rows), dtype=tf.int64)
        self.batch = raw.at(some)
        self.inputs = request(self.batch, features)
        self._trained = model_batch(transformed.at(some))
        self._items = catalogue.rows(self.batch[f.ITEM_ID].numpy())
        self._unknown = unknown_user(features, transform)

    def score_difference(self) -> float | None:
        """Largest relative difference of what `rank` gives between training and serving; None without a row.

        Training's side is Transform's materialised output of the same rows, given to the trained models.
        """
        if not len(self._items):
            return None
        served = ask(self.model, "rank", self.inputs | {f.ITEM_ID: self.batch[f.ITEM_ID][:, tf.newaxis]})
        pairs = [(trained, served[name][:, 0]) for name, trained in self._scores().items()]
        difference = np.max([np.abs(a - b) / (1 + np.abs(a)) for a, b in pairs])
        return float(min(difference, np.finfo(np.float32).max))

    def _scores(self) -> dict[str, np.ndarray]:
        """What `rank` gives for the rows' own items, [n] each, from the trained models."""
        query = {name: self._trained[name] for name in self._names}
        item = {name: tf.constant(values[self._items]) for name, values in self._catalogue.features.items()}
        vectors = self._retrieval.query(query)
        logits = tf.reduce_sum(vectors * self._retrieval.candidate(item), axis=1)
        retrieval = self._scored(vectors, query, item[f.ITEM_ID][:, tf.newaxis], logits[:, tf.newaxis])[:, 0]
        ranked = self._ranking.score(query, self._ranking.candidate(item)[:, tf.newaxis])
        ranked = {name: values[:, 0] for name, values in ranked.items()}
        shown = {name: values for name, values in ranked.items() if name not in PARTS}
        scores = shown | {"score": retrieval + self._weights.added(ranked)}
        return {name: values.numpy() for name, values in scores.items()}

    def _scored(self, vectors, query: inputs.Batch, items: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return retrieval_scores(self._retrieval, self._features.histories, vectors, query, items, logits)

    def index_recall(self) -> float | None:
        """Recall of the exact best 100 items by `retrieve`, over unknown users with the histories of eval rows.

        Exact are the trained towers' own scores of the whole catalogue.
        """
        if not len(self._items):
            return None
        users = {name: tf.cast(value, self._trained[name].dtype) for name, value in self._unknown.items()}
        hidden = {name: tf.zeros_like(self._trained[name]) + value for name, value in users.items()}
        query = {name: (self._trained | hidden)[name] for name in self._names}
        vectors = self._retrieval.query(query)
        features = {name: tf.constant(values[:-1]) for name, values in self._catalogue.features.items()}
        items, indices = self._retrieval.candidate(features), features[f.ITEM_ID][tf.newaxis]
        served = ask(self.model, "retrieve", self.inputs | {f.USER_ID: tf.zeros_like(self.inputs[f.USER_ID])})
        found = self._catalogue.rows(served["item_id"].ravel()).reshape(served["item_id"].shape)
        histories = self.inputs[f.HISTORY_ITEM_ID].numpy()
        had = self._catalogue.rows(histories.ravel()).reshape(histories.shape)
        k = min(_RECALL_K, found.shape[1])
        recalls = []
        for row in range(len(found)):  # All scores would not fit.
            one = {name: values[row : row + 1] for name, values in query.items()}
            vector = vectors[row : row + 1]
            logits = tf.matmul(vector, items, transpose_b=True)
            scores = np.append(self._scored(vector, one, indices, logits).numpy()[0], -np.inf)
            scores[:-1][self._hidden] = -np.inf
            if not self._features.histories.repeats:
                scores[had[row]] = -np.inf
            best = np.argsort(-scores, kind="stable")[: min(k, np.isfinite(scores).sum())]
            recalls.append(len(np.intersect1d(best, found[row, :k])) / max(len(best), 1))
        return float(np.mean(recalls))
