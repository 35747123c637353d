"""The servable: Transform's graph, both towers, index, seen-filter and ranker behind raw strings."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from components.recommender_builder.settings import Index
from components.recommender_builder.users import Users
from models import inputs
from models.catalogue import Catalogue, unknown_item
from models.features import names as f
from models.features.feature_set import FeatureSet

_NO_SCORE = tf.float32.min  # Of the empty entries that fill a short list: finite, and below every other.

_USERS = tf.TensorSpec([None], tf.string, name="user_id")
_MOMENTS = tf.TensorSpec([None], tf.int64, name="timestamp")
_HISTORY_IDS = tf.TensorSpec([None, None], tf.string, name="history_item_id")
_HISTORY_TIMES = tf.TensorSpec([None, None], tf.int64, name="history_timestamp")
_QUERY = (_USERS, _MOMENTS, _HISTORY_IDS, _HISTORY_TIMES)
_ITEMS = tf.TensorSpec([None], tf.string, name="item_id")
_ITEM_LISTS = tf.TensorSpec([None, None], tf.string, name="item_id")


class Recommender(tf.Module):
    """Two-stage recommendation. Shapes: B queries, H history entries, N candidates, M items to rank, K results.

    Items are known inside by their row in the catalogue; row n, one past the last, is an unknown item, and the empty
    entry of a short list.

    Args:
      config: how many candidates and recommendations there are.
      history_length: the most recent interactions of a user that make a query.
      catalogue: the n candidates.
      users: the users known at the end of training.
      features: of the data set.
      transform: what Transform made.
      retrieval: loaded `RetrievalServable`.
      ranking: loaded `RankingServable`.
      vectors: the candidates' embeddings.
      index: search over the candidates' retrieval embeddings.
      similar_index: search over the same, without bias and scaled to length one.
    """

    def __init__(
        self,
        config: Index,
        history_length: int,
        catalogue: Catalogue,
        users: Users,
        features: FeatureSet,
        transform: tft.TFTransformOutput,
        retrieval: tf.Module,
        ranking: tf.Module,
        vectors: CandidateVectors,
        index: tf.Module,
        similar_index: tf.Module,
    ):
        super().__init__()
        self._size = len(catalogue)
        self._config = config
        self._history_length = history_length
        self._query_names = features.query_names()
        # What is inside TFT's Keras layer, whose export would trace and convert it once more.
        loader = SavedModelLoader(transform.transform_savedmodel_dir)
        self._transform, self._transform_resources = loader.apply_transform_model, vars(loader)
        self._retrieval, self._ranking = retrieval, ranking
        self._index, self._similar_index = index, similar_index
        self._vectors = vectors
        self._ids = _table([*catalogue.ids, b""])
        self._titles = _table([*catalogue.titles, b""])
        self._rows = _Lookup(catalogue.ids)
        self._user_rows = _Lookup(users.ids)
        self._starts = _table(users.starts)
        self._seen_rows = _table(self._rows(tf.constant(users.items)))
        self._seen_times = _table(users.timestamps)
        self._fields = {name: _table(values) for name, values in users.fields.items()}
        self._end_of_training = int(users.timestamps.max())

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The exported functions by signature name; inputs and outputs as in ARCHITECTURE.md."""
        functions = {
            "serving_default": (self.recommend_known, [_USERS]),
            "recommend": (self.recommend, _QUERY),
            "retrieve": (self.retrieve, _QUERY),
            "rank": (self.rank, [*_QUERY, _ITEM_LISTS]),
            "similar": (self.similar, [_ITEMS]),
        }
        return {
            name: tf.function(call, autograph=False).get_concrete_function(*specs)
            for name, (call, specs) in functions.items()
        }

    def recommend_known(self, user_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommendations for users as they were known at the end of training. [B] ids to [B, K] lists."""
        items, times = self._known_history(user_id)
        return self.recommend(user_id, tf.zeros_like(user_id, tf.int64), items, times)

    def recommend(self, user_id, timestamp, history_item_id, history_timestamp) -> dict[str, tf.Tensor]:
        """Retrieves, drops what was seen, ranks: [B, K] item_id, title, score. `timestamp` 0 means now."""
        features = self._features(user_id, timestamp, history_item_id, history_timestamp)
        query = self._retrieval.query(features)
        candidates, scores = self._candidates(query, user_id, history_item_id)
        ranked = scores + self._ranking.score(features, tf.gather(self._vectors.ranking, candidates))["added"]
        ranked = tf.where(candidates == self._size, _NO_SCORE, ranked)
        best = tf.math.top_k(ranked, tf.minimum(self._config.recommendations, tf.shape(ranked)[1]))
        items = tf.gather(candidates, best.indices, batch_dims=1)
        return {
            "item_id": tf.gather(self._ids, items),
            "title": tf.gather(self._titles, items),
            "score": best.values,
        }

    def retrieve(self, user_id, timestamp, history_item_id, history_timestamp) -> dict[str, tf.Tensor]:
        """The first stage, without what was seen: [B, N] item_id, score, best first."""
        query = self._retrieval.query(self._features(user_id, timestamp, history_item_id, history_timestamp))
        candidates, scores = self._candidates(query, user_id, history_item_id)
        return {"item_id": tf.gather(self._ids, candidates), "score": scores}

    def rank(self, user_id, timestamp, history_item_id, history_timestamp, item_id) -> dict[str, tf.Tensor]:
        """The second stage for given items, in the order given: [B, M] score, and predicted_rating if there are any."""
        features = self._features(user_id, timestamp, history_item_id, history_timestamp)
        items = self._rows(item_id)
        retrieval_scores = self._retrieval_scores(self._retrieval.query(features), items)
        ranked = self._ranking.score(features, tf.gather(self._vectors.ranking, items))
        return {"score": retrieval_scores + ranked.pop("added"), **ranked}

    def similar(self, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Items with the nearest embeddings, by cosine: [B, K] item_id, title, score."""
        items = self._rows(item_id)
        query = tf.gather(self._vectors.directions, items)
        k = min(self._config.recommendations + 1, self._size)
        found = self._similar_index.search(query, k)
        keep = (found != items[:, tf.newaxis]) & (items < self._size)[:, tf.newaxis]
        found = self._kept(found, keep, self._config.recommendations)
        scores = tf.einsum("bd,bkd->bk", query, tf.gather(self._vectors.directions, found))
        return {
            "item_id": tf.gather(self._ids, found),
            "title": tf.gather(self._titles, found),
            "score": tf.where(found == self._size, _NO_SCORE, scores),
        }

    def _known_history(self, user_id: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The most recent train interactions of known users: [B, H] ids and times, padded with "" and 0."""
        users = self._user_rows(user_id)
        starts, ends = tf.gather(self._starts, users), tf.gather(self._starts, users + 1)
        rows = tf.ragged.range(starts, tf.minimum(ends, starts + self._history_length))
        times = tf.gather(self._seen_times, rows).to_tensor()
        items = tf.gather(self._seen_rows, rows).to_tensor(default_value=self._size)
        return tf.gather(self._ids, items), times

    def _features(self, user_id, timestamp, history_item_id, history_timestamp) -> inputs.Batch:
        """Raw query to the model features of the query side, through Transform's graph."""
        items = history_item_id[:, : self._history_length]
        times = history_timestamp[:, : self._history_length]
        clock = tf.cast(tf.timestamp(), tf.int64)
        # A history that goes on after training has its gaps to the clock; another one as they were in training.
        fresh = tf.reduce_max(times, axis=1) > self._end_of_training
        now = tf.where(fresh, clock, tf.minimum(clock, self._end_of_training))
        present = tf.where(items != "")
        shape = tf.shape(items, tf.int64)
        raw = {
            f.USER_ID: user_id,
            f.TIMESTAMP: tf.where(timestamp > 0, timestamp, now),
            f.HISTORY_ITEM_ID: tf.SparseTensor(present, tf.gather_nd(items, present), shape),
            f.HISTORY_TIMESTAMP: tf.SparseTensor(present, tf.gather_nd(times, present), shape),
        }
        users = self._user_rows(user_id)
        for name, table in self._fields.items():
            values = tf.gather(table, users)[:, tf.newaxis]
            known = tf.where(values != "" if values.dtype == tf.string else values == values)  # NaN is not itself.
            raw[name] = tf.SparseTensor(known, tf.gather_nd(values, known), tf.shape(values, tf.int64))
        features = inputs.densify(self._transform(raw))
        return {name: features[name] for name in self._query_names}

    def _candidates(self, query, user_id, history_item_id) -> tuple[tf.Tensor, tf.Tensor]:
        """[B, N] catalogue rows of the best items that were not seen, and their retrieval scores."""
        wanted = min(self._config.candidates, self._size)
        width = tf.cast(self._size + 1, tf.int64)
        seen = self._seen(user_id, history_item_id)
        keys = _distinct(seen.value_rowids() * width + tf.cast(seen.flat_values, tf.int64))
        most = tf.reduce_max(tf.math.unsorted_segment_sum(tf.ones_like(keys), keys // width, seen.nrows()))
        found = self._index.search(query, tf.minimum(wanted + tf.cast(most, tf.int32), self._size))
        rows = tf.range(seen.nrows())[:, tf.newaxis]
        items = self._kept(found, ~_is_in(rows * width + tf.cast(found, tf.int64), keys), wanted)
        scores = self._retrieval_scores(query, items)
        # An approximate search may order by other scores than the exact ones.
        best = tf.math.top_k(tf.where(items == self._size, _NO_SCORE, scores), wanted)
        return tf.gather(items, best.indices, batch_dims=1), best.values

    def _seen(self, user_id: tf.Tensor, history_item_id: tf.Tensor) -> tf.RaggedTensor:
        """Catalogue rows that each query has seen, in training or in the history given."""
        users = self._user_rows(user_id)
        trained = tf.ragged.range(tf.gather(self._starts, users), tf.gather(self._starts, users + 1))
        given = tf.RaggedTensor.from_tensor(self._rows(history_item_id))
        return tf.concat([tf.gather(self._seen_rows, trained), given], axis=1)

    def _kept(self, items: tf.Tensor, keep: tf.Tensor, length: int) -> tf.Tensor:
        """The first `length` of each row's items that are to be kept, in order, filled up with row n."""
        kept = tf.ragged.boolean_mask(items, keep)[:, :length]
        return kept.to_tensor(default_value=self._size, shape=[None, length])

    def _retrieval_scores(self, query: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        return tf.einsum("bd,bmd->bm", query, tf.gather(self._vectors.retrieval, items))


class CandidateVectors(tf.Module):
    """What both models make of the candidates, [n + 1, D] each; the last row is an unknown item."""

    def __init__(
        self, catalogue: Catalogue, features: FeatureSet, transform: tft.TFTransformOutput, retrieval, ranking
    ):
        super().__init__()
        known = {name: tf.constant(values) for name, values in catalogue.features.items()}
        unknown = unknown_item(features, transform)
        both = [tf.concat([model.candidate(known), model.candidate(unknown)], 0) for model in (retrieval, ranking)]
        directions = tf.math.l2_normalize(both[0][:, :-1], axis=1)  # Without the bias.
        self.retrieval, self.ranking, self.directions = map(_table, (*both, directions))


class _Lookup(tf.Module):
    """Strings to their positions in a list of n; n for those that are not in it."""

    def __init__(self, keys):
        super().__init__()
        initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(keys), dtype=tf.int32))
        self._table = tf.lookup.StaticHashTable(initializer, default_value=len(keys))

    def __call__(self, strings: tf.Tensor) -> tf.Tensor:
        return self._table.lookup(strings)


def _distinct(keys: tf.Tensor) -> tf.Tensor:
    """The distinct values of [n] keys, sorted."""
    keys = tf.sort(keys)
    return tf.boolean_mask(keys, tf.concat([keys[1:] != keys[:-1], [True]], 0)[: tf.size(keys)])


def _is_in(wanted: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Whether each of the wanted is among the rising keys, by binary search."""
    keys = tf.concat([keys, [tf.int64.max]], 0)
    flat = tf.reshape(wanted, [-1])
    return tf.reshape(tf.gather(keys, tf.searchsorted(keys, flat)) == flat, tf.shape(wanted))


def _table(values) -> tf.Variable:
    return tf.Variable(values, trainable=False)
