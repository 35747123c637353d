"""The servable: Transform's graph, both towers, index, seen-filter and ranker behind raw strings."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_transform.saved.saved_transform_io_v2 import SavedModelLoader

from components.recommender_builder.client_inputs import ClientInputs
from components.recommender_builder.settings import Index
from components.recommender_builder.users import Users
from models import inputs
from models.catalogue import Catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.joining import PARTS, Weights, retrieval_scores
from models.popularity import of_last

_NO_SCORE = tf.float32.min  # Of the empty entries that fill a short list: finite, and below every other.

_ITEMS = tf.TensorSpec([None], tf.string, name="item_id")
_ITEM_LISTS = tf.TensorSpec([None, None], tf.string, name="item_id")

Query = dict[str, tf.Tensor]  # Raw inputs of `recommend` by name.


def query_specs(features: FeatureSet) -> dict[str, tf.TensorSpec]:
    """The inputs of `recommend`: "" and 0 and, of a context that is a number, NaN stand for what is not known."""
    context = {name: tf.TensorSpec([None], feature.dtype(), name=name) for name, feature in features.context.items()}
    return {
        f.USER_ID: tf.TensorSpec([None], tf.string, name=f.USER_ID),
        f.TIMESTAMP: tf.TensorSpec([None], tf.int64, name=f.TIMESTAMP),
        f.HISTORY_ITEM_ID: tf.TensorSpec([None, None], tf.string, name=f.HISTORY_ITEM_ID),
        f.HISTORY_TIMESTAMP: tf.TensorSpec([None, None], tf.int64, name=f.HISTORY_TIMESTAMP),
        **context,
    }


class Recommender(tf.Module):
    """Two-stage recommendation. Shapes: B queries, H history entries, N candidates, M items to rank, K results.

    Items are known inside by their row in the catalogue; row n, one past the last, is an unknown item, and the empty
    entry of a short list. The methods take texts as the data has them; the signatures, as clients send them.

    Args:
      config: how many candidates and recommendations there are.
      catalogue: the n candidates.
      users: the users, with all that is known of them.
      features: of the data set.
      transform: what Transform made.
      retrieval: loaded `RetrievalServable`.
      ranking: loaded `RankingServable`.
      vectors: the candidates' embeddings.
      index: search over the candidates' retrieval embeddings.
      similar_index: search over the same, without bias and scaled to length one.
      weights: what the ranker's parts count.
    """

    def __init__(
        self,
        config: Index,
        catalogue: Catalogue,
        users: Users,
        features: FeatureSet,
        transform: tft.TFTransformOutput,
        retrieval: tf.Module,
        ranking: tf.Module,
        vectors: CandidateVectors,
        index: tf.Module,
        similar_index: tf.Module,
        weights: Weights,
    ):
        super().__init__()
        self._size = len(catalogue)
        self._candidates_wanted, self._recommended = (
            min(most, self._size) for most in (config.candidates, config.recommendations)
        )
        self._histories = features.histories
        self._context = dict(features.context)
        self._query_names = features.query_names()
        self._query_specs = query_specs(features)
        # What is inside TFT's Keras layer, whose export would trace and convert it once more.
        loader = SavedModelLoader(transform.transform_savedmodel_dir)
        self._transform, self._transform_resources = loader.apply_transform_model, vars(loader)
        self._retrieval, self._ranking = retrieval, ranking
        self._index, self._similar_index = index, similar_index
        self._vectors = vectors
        self._weights = weights
        self._ids = _table([*catalogue.ids, b""])
        self._titles = _table([*catalogue.titles, b""])
        self._rows = _Lookup(catalogue.ids)
        self._item_indices = _table(catalogue.features[f.ITEM_ID])
        self._user_rows = _Lookup(users.ids)
        self._client_inputs = ClientInputs(users.ids.tolist(), catalogue.ids.tolist())
        self._user_features = {name: _table(values) for name, values in users.features.items()}
        self._starts = _table(users.starts)
        self._had_rows, self._had_times = (
            _table(values, of_any_length=True) for values in (users.items, users.timestamps)
        )
        self._end_of_data = int(users.timestamps.max())
        self._knows_all = _table(1.0)  # 0: what is popular now is told by the train rows alone.
        rows = [tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64)]
        self.assume = tf.function(self._assume, input_signature=rows, autograph=False)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The exported functions by signature name; inputs and outputs as in ARCHITECTURE.md."""
        query = self._query_specs
        functions = {
            "serving_default": (self.recommend_known, {f.USER_ID: query[f.USER_ID]}),
            "recommend": (self.recommend, query),
            "retrieve": (self.retrieve, query),
            "rank": (self.rank, query | {f.ITEM_ID: _ITEM_LISTS}),
            "similar": (self.similar, {f.ITEM_ID: _ITEMS}),
        }
        return {
            name: tf.function(self._client_inputs.before(call), autograph=False).get_concrete_function(**specs)
            for name, (call, specs) in functions.items()
        }

    def _assume(self, user_id: tf.Tensor, item_id: tf.Tensor, timestamp: tf.Tensor) -> None:
        """Makes these [R] interactions, a user's the most recent first, all that is known of what users have had.

        No server calls it. The Evaluator does, whose rows must not be known: index and weights stay what they are.
        """
        users = self._user_rows(user_id)
        order = tf.argsort(users, stable=True)
        order = order[: tf.math.count_nonzero(users < self._unknown_user(), dtype=tf.int32)]
        counts = tf.math.bincount(tf.gather(users, order), minlength=self._unknown_user() + 1)
        self._starts.assign(tf.concat([[0], tf.cumsum(tf.cast(counts, tf.int64))], 0))
        self._had_rows.assign(self._rows(tf.gather(item_id, order)))
        self._had_times.assign(tf.gather(timestamp, order))
        self._knows_all.assign(0.0)

    def _unknown_user(self) -> int:
        return self._starts.shape[0] - 2

    def recommend_known(self, user_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recommendations for users as they are known, in an unknown context. [B] ids to [B, K] lists."""
        items, times = self._known_history(user_id)
        unknown = {name: tf.fill(tf.shape(user_id), feature.missing) for name, feature in self._context.items()}
        query = {f.USER_ID: user_id, f.TIMESTAMP: tf.zeros_like(user_id, tf.int64)}
        return self.recommend(**query, history_item_id=items, history_timestamp=times, **unknown)

    def recommend(self, **query: tf.Tensor) -> dict[str, tf.Tensor]:
        """Retrieves, drops what the user has had unless items repeat, ranks: [B, K] item_id, title, score."""
        features = self._features(query)
        vectors = self._vectors_of(features)
        candidates, scores = self._candidates(features, vectors, query)
        ranked = scores + self._weights.added(
            self._ranking.score(features, tf.gather(self._vectors.ranking, candidates))
        )
        ranked = tf.where(candidates == self._size, _NO_SCORE, ranked)
        best = tf.math.top_k(ranked, self._recommended)
        items = tf.gather(candidates, best.indices, batch_dims=1)
        return {
            "item_id": tf.gather(self._ids, items),
            "title": tf.gather(self._titles, items),
            "score": best.values,
        }

    def retrieve(self, **query: tf.Tensor) -> dict[str, tf.Tensor]:
        """The first stage of `recommend`: [B, N] item_id, score, best first."""
        features = self._features(query)
        candidates, scores = self._candidates(features, self._vectors_of(features), query)
        return {"item_id": tf.gather(self._ids, candidates), "score": scores}

    def rank(self, item_id: tf.Tensor, **query: tf.Tensor) -> dict[str, tf.Tensor]:
        """The second stage for given items, in the order given: [B, M] score, and what the ranker predicts beside."""
        features = self._features(query)
        items = self._rows(item_id)
        retrieval_scores = self._retrieval_scores(features, self._vectors_of(features), items)
        ranked = self._ranking.score(features, tf.gather(self._vectors.ranking, items))
        shown = {name: values for name, values in ranked.items() if name not in PARTS}
        return {"score": retrieval_scores + self._weights.added(ranked), **shown}

    def similar(self, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Items with the nearest embeddings, by cosine: [B, K] item_id, title, score."""
        items = self._rows(item_id)
        query = tf.gather(self._vectors.directions, items)
        found = self._similar_index.search(query, min(self._recommended + 1, self._size))
        keep = (found != items[:, tf.newaxis]) & (items < self._size)[:, tf.newaxis]
        found = self._kept(found, keep, self._recommended)
        scores = tf.einsum("bd,bkd->bk", query, tf.gather(self._vectors.directions, found))
        return {
            "item_id": tf.gather(self._ids, found),
            "title": tf.gather(self._titles, found),
            "score": tf.where(found == self._size, _NO_SCORE, scores),
        }

    def _known_history(self, user_id: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The most recent interactions of known users: [B, H] ids and times, padded with "" and 0."""
        users = self._user_rows(user_id)
        starts, ends = tf.gather(self._starts, users), tf.gather(self._starts, users + 1)
        rows = tf.ragged.range(starts, tf.minimum(ends, starts + self._histories.known))
        times = tf.gather(self._had_times, rows).to_tensor()
        items = tf.gather(self._had_rows, rows).to_tensor(default_value=self._size)
        return tf.gather(self._ids, items), times

    def _features(self, query: Query) -> inputs.Batch:
        """Raw query to the model features of the query side."""
        length = self._histories.known
        items, times = query[f.HISTORY_ITEM_ID][:, :length], query[f.HISTORY_TIMESTAMP][:, :length]
        clock = tf.cast(tf.timestamp(), tf.int64)
        # A history that goes on after the data has its gaps to the clock; another one as they were in training.
        fresh = tf.reduce_max(times, axis=1) > self._end_of_data
        now = tf.where(fresh, clock, tf.minimum(clock, self._end_of_data + 1))
        moment = tf.where(query[f.TIMESTAMP] > 0, query[f.TIMESTAMP], now)
        raw = {f.TIMESTAMP: moment} | {name: query[name] for name in self._context}
        transformed = self._transform({name: _column(values) for name, values in raw.items()})
        indices = tf.gather(self._item_indices, self._history_rows(query))
        users = self._user_rows(query[f.USER_ID])
        features = inputs.gathered(self._user_features, users)
        features |= {
            f.MOMENT: _only_column(transformed[f.MOMENT]),
            f.HISTORY_ITEM_ID: tf.where(items == "", tf.cast(f.PADDING, indices.dtype), indices),
            f.HISTORY_GAP: inputs.gaps(moment, times),
            **{name: _only_column(transformed[name]) for name in self._context},
        }
        return {name: features[name] for name in self._query_names}

    def _vectors_of(self, features: inputs.Batch) -> tf.Tensor:
        """[B, D] query embeddings; what is popular now is what all rows tell, unless only those of train are known."""
        vectors = self._retrieval.query(features)
        after = vectors[:, -2:-1]
        by_all = after * self._knows_all
        return tf.concat([vectors[:, :-2], after - by_all, by_all], axis=1)

    def _candidates(self, features: inputs.Batch, vectors: tf.Tensor, query: Query) -> tuple[tf.Tensor, tf.Tensor]:
        """[B, N] catalogue rows of the best items that may be recommended, and their retrieval scores."""
        wanted = self._candidates_wanted
        if self._histories.repeats:
            found = self._index.search(vectors, tf.constant(wanted))
            items = self._each_once(tf.concat([self._history_rows(query), found], axis=1))
        else:
            items = self._not_had(vectors, query, wanted)
        scores = self._retrieval_scores(features, vectors, items)
        # An approximate search may order by other scores than the exact ones.
        best = tf.math.top_k(tf.where(items == self._size, _NO_SCORE, scores), wanted)
        return tf.gather(items, best.indices, batch_dims=1), best.values

    def _not_had(self, vectors: tf.Tensor, query: Query, wanted: int) -> tf.Tensor:
        """[B, N] the best that the user has not had."""
        width = tf.cast(self._size + 1, tf.int64)
        had = self._had(query[f.USER_ID], query[f.HISTORY_ITEM_ID])
        keys = _distinct(had.value_rowids() * width + tf.cast(had.flat_values, tf.int64))
        most = tf.reduce_max(tf.math.unsorted_segment_sum(tf.ones_like(keys), keys // width, had.nrows()))
        found = self._index.search(vectors, tf.minimum(wanted + tf.cast(most, tf.int32), self._size))
        rows = tf.range(had.nrows())[:, tf.newaxis]
        return self._kept(found, ~_is_in(rows * width + tf.cast(found, tf.int64), keys), wanted)

    def _had(self, user_id: tf.Tensor, history_item_id: tf.Tensor) -> tf.RaggedTensor:
        """Catalogue rows that each query's user has had, as is known here or by the history given."""
        users = self._user_rows(user_id)
        known = tf.ragged.range(tf.gather(self._starts, users), tf.gather(self._starts, users + 1))
        given = tf.RaggedTensor.from_tensor(self._rows(history_item_id))
        return tf.concat([tf.gather(self._had_rows, known), given], axis=1)

    def _kept(self, items: tf.Tensor, keep: tf.Tensor, length: int) -> tf.Tensor:
        """The first `length` of each row's items that are to be kept, in order, filled up with row n."""
        kept = tf.ragged.boolean_mask(items, keep)[:, :length]
        return kept.to_tensor(default_value=self._size, shape=[None, length])

    def _retrieval_scores(self, features: inputs.Batch, vectors: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        logits = tf.einsum("bd,bmd->bm", vectors, tf.gather(self._vectors.retrieval, items))
        indices = tf.gather(self._item_indices, items)
        return retrieval_scores(self._retrieval, self._histories, vectors, features, indices, logits)

    def _history_rows(self, query: Query) -> tf.Tensor:
        return self._rows(query[f.HISTORY_ITEM_ID][:, : self._histories.known])

    def _each_once(self, items: tf.Tensor) -> tf.Tensor:
        """[B, M] items of each row, each once, filled up with row n."""
        items = tf.sort(items, axis=1)
        repeated = tf.concat([tf.zeros_like(items[:, :1], tf.bool), items[:, 1:] == items[:, :-1]], axis=1)
        return tf.where(repeated, self._size, items)


class CandidateVectors(tf.Module):
    """What both models make of the candidates, [n + 1, D] each; the last row is an unknown item.

    Args:
      catalogue: the n candidates.
      users: all interactions, which tell what is popular now.
      retrieval, ranking: what the Trainers have exported.
    """

    def __init__(self, catalogue: Catalogue, users: Users, retrieval: tf.Module, ranking: tf.Module):
        super().__init__()
        features = {name: tf.constant(values) for name, values in catalogue.features.items()}
        both = [model.candidate(features) for model in (retrieval, ranking)]
        popular = of_last(users.items, users.timestamps, len(catalogue), retrieval.forecast_weights.numpy())
        both[0] = tf.concat([both[0][:, :-1], np.append(popular, np.float32(0))[:, np.newaxis]], axis=1)
        directions = tf.math.l2_normalize(both[0][:, :-3], axis=1)  # Without the bias and what is popular.
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


def _column(values: tf.Tensor) -> tf.SparseTensor:
    """[B, 1] with all of [B] values, zeros and empty texts included, as Transform's graph takes lists."""
    rows = tf.range(tf.size(values, tf.int64), dtype=tf.int64)
    return tf.SparseTensor(tf.stack([rows, tf.zeros_like(rows)], axis=1), values, [tf.size(values, tf.int64), 1])


def _only_column(sparse: tf.SparseTensor) -> tf.Tensor:
    """[B] from the values of a SparseTensor with one a row."""
    return tf.reshape(sparse.values, [-1])


def _table(values, *, of_any_length: bool = False) -> tf.Variable:
    return tf.Variable(values, trainable=False, shape=[None] if of_any_length else None)
