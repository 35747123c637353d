"""The servable: Transform's graph, both towers, index, seen-filter and ranker behind raw strings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.recommender_builder.client_inputs import ClientInputs
from components.recommender_builder.filters import Wanted
from components.recommender_builder.lists import NO_SCORE
from components.recommender_builder.rules import Rules
from components.recommender_builder.search import LeftOut, Search, best, each_once, kept, of_lists
from components.recommender_builder.settings import Index
from components.recommender_builder.tensors import Lookup, ranges, table
from components.recommender_builder.transformed_queries import TransformOfQueries
from components.recommender_builder.users import Users
from components.recommender_builder.vectors import CandidateVectors
from models import inputs
from models.catalogue import Catalogue
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.joining import PARTS, Weights, retrieval_scores

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


class _Retrieved(NamedTuple):
    """What the first stage gives for B queries.

    Attributes:
      features: what the ranker reads of the queries.
      candidates: [B, N] rows of the catalogue, the best first.
      scores: [B, N] of the retrieval.
    """

    features: inputs.Batch
    candidates: tf.Tensor
    scores: tf.Tensor


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
      index: search over the retrieval embeddings of those that may be recommended.
      similar_index: search over the same, without bias and scaled to length one.
      weights: what the ranker's parts count.
      rules: what holds of what is recommended.
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
        rules: Rules,
    ):
        super().__init__()
        self._size = len(catalogue)
        self._recommendable = len(rules.rows)  # Those of the items that may be recommended.
        self._candidates_wanted, self._recommended = (
            min(most, self._recommendable) for most in (config.candidates, config.recommendations)
        )
        self._hidden = table(rules.hidden) if rules.hidden.any() else None
        self._filters, self._list_rules = rules.filters, rules.lists
        self._histories = features.histories
        self._context = dict(features.context)
        self._query_names = features.query_names()
        self._query_specs = query_specs(features)
        self._transform = TransformOfQueries(transform, [f.MOMENT, *self._context])
        self._retrieval, self._ranking = retrieval, ranking
        self._index, self._similar_index = index, similar_index
        self._vectors = vectors
        self._weights = weights
        self.ids = table([*catalogue.ids, b""])
        self._titles = table([*catalogue.titles, b""])
        self._rows = Lookup(catalogue.ids)
        self._item_indices = table(catalogue.features[f.ITEM_ID])
        self._user_rows = Lookup(users.ids)
        self._client_inputs = ClientInputs(users.ids.tolist(), catalogue.ids.tolist())
        self._user_features = {name: table(values) for name, values in users.features.items()}
        self._starts = table(users.starts)
        self._end_of_data = int(users.timestamps.max())
        # As small as they can be: they are most of what a server needs for another interaction.
        self._had_rows = table(users.items.astype(np.min_scalar_type(self._size)), of_any_length=True)
        self._had_ages = table(self._ages(users.timestamps), of_any_length=True)
        self._knows_all = table(1.0)  # 0: what is popular now is told by the train rows alone.
        # Functions of their own, so that the graph has once what several signatures do.
        query = dict(self._query_specs)

        def once(method: Callable[[Query], Any]) -> tf.types.experimental.ConcreteFunction:
            return tf.function(lambda query: method(query), autograph=False).get_concrete_function(query)

        self._look = once(self._looked_at)
        self._first_stage = once(self._retrieved)
        rows = [tf.TensorSpec([None], dtype) for dtype in (tf.string, tf.string, tf.int64)]
        self.assume = tf.function(self._assume, input_signature=rows, autograph=False)
        self.measure = tf.function(self._measure, input_signature=[query, _ITEMS], autograph=False)

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The exported functions by signature name; inputs and outputs as in ARCHITECTURE.md."""
        query = self._query_specs
        functions = {
            "serving_default": (self.recommend_known, {f.USER_ID: query[f.USER_ID]}),
            "recommend": (self.recommend, query),
            "recommend_filtered": (self.recommend_filtered, query | self._filter_specs()),
            "retrieve": (self.retrieve, query),
            "rank": (self.rank, query | {f.ITEM_ID: _ITEM_LISTS}),
            "similar": (self.similar, {f.ITEM_ID: _ITEMS}),
        }
        return {
            name: tf.function(self._client_inputs.before(call), autograph=False).get_concrete_function(**specs)
            for name, (call, specs) in functions.items()
        }

    def _filter_specs(self) -> dict[str, tf.TensorSpec]:
        names = [f.EXCLUDE_ITEM_ID, *(self._filters.features if self._filters else ())]
        return {name: tf.TensorSpec([None, None], tf.string, name=name) for name in names}

    def _assume(self, user_id: tf.Tensor, item_id: tf.Tensor, timestamp: tf.Tensor) -> None:
        """Makes these [R] interactions, a user's the most recent first, all that is known of what users have had.

        No server calls it. The Evaluator does, whose rows must not be known: index and weights stay what they are.
        """
        users = self._user_rows(user_id)
        order = tf.argsort(users, stable=True)
        order = order[: tf.math.count_nonzero(users < self._unknown_user(), dtype=tf.int32)]
        counts = tf.math.bincount(tf.gather(users, order), minlength=self._unknown_user() + 1)
        self._starts.assign(tf.concat([[0], tf.cumsum(tf.cast(counts, tf.int64))], 0))
        self._had_rows.assign(tf.cast(self._rows(tf.gather(item_id, order)), self._had_rows.dtype))
        self._had_ages.assign(self._ages(tf.gather(timestamp, order)))
        self._knows_all.assign(0.0)

    def _ages(self, timestamps: np.ndarray | tf.Tensor) -> tf.Tensor:
        """Whole seconds until the end of the data, 68 years at the most."""
        return tf.cast(tf.clip_by_value(self._end_of_data - timestamps, tf.int32.min, tf.int32.max), tf.int32)

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
        return self._ranked(self._first_stage(query), {})

    def recommend_filtered(self, **query: tf.Tensor) -> dict[str, tf.Tensor]:
        """As `recommend`, of what has wanted values and is not among the [B, E] `exclude_item_id`."""
        exclude = query.pop(f.EXCLUDE_ITEM_ID)
        wanted = {name: query.pop(name) for name in (self._filters.features if self._filters else ())}
        of_filters = self._filters.read(wanted) if wanted else None
        given = {name: of_filters.given[:, place] for place, name in enumerate(wanted)}
        return self._ranked(self._retrieved(query, exclude, of_filters), given)

    def _ranked(self, retrieved: _Retrieved, given: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The lists that the second stage makes; `given` as for `ListRules.best`."""
        ranked = self._ranking.score(retrieved.features, tf.gather(self._vectors.ranking, retrieved.candidates))
        scores = retrieved.scores + self._weights.added(ranked)
        items, scores = self._list(retrieved.candidates, scores, given)
        return {"item_id": tf.gather(self.ids, items), "title": tf.gather(self._titles, items), "score": scores}

    def _list(
        self, candidates: tf.Tensor, scores: tf.Tensor, given: Mapping[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """[B, N] candidates and both stages' scores to the list of a reply, [B, K]; `given` as for `ListRules.best`."""
        if self._list_rules:
            scores = self._list_rules.boosted(candidates, scores)
        scores = tf.where(candidates == self._size, NO_SCORE, scores)
        if self._list_rules:
            return self._list_rules.best(candidates, scores, self._recommended, given)
        top = tf.math.top_k(scores, self._recommended)
        return tf.gather(candidates, top.indices, batch_dims=1), top.values

    def retrieve(self, **query: tf.Tensor) -> dict[str, tf.Tensor]:
        """The first stage of `recommend`: [B, N] item_id, score, best first."""
        _, candidates, scores = self._first_stage(query)
        return {"item_id": tf.gather(self.ids, candidates), "score": scores}

    def rank(self, item_id: tf.Tensor, **query: tf.Tensor) -> dict[str, tf.Tensor]:
        """The second stage for given items, in the order given: [B, M] score, and what the ranker predicts beside."""
        features, vectors = self._look(query)
        items = self._rows(item_id)
        retrieval_scores = self._retrieval_scores(features, vectors, items)
        ranked = self._ranking.score(features, tf.gather(self._vectors.ranking, items))
        shown = {name: values for name, values in ranked.items() if name not in PARTS}
        return {"score": retrieval_scores + self._weights.added(ranked), **shown}

    def _measure(self, query: Query, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """What `retrieve`, `recommend`, and `rank` of one item for each query answer, from one look at the queries.

        No server calls it: what measures a model does. Lists are rows of the catalogue, which `ids` has.

        Returns:
          `retrieved`, `retrieved_score` [B, N], `recommended`, `recommended_score` [B, K], and of what `rank` predicts
          beside the score, [B].
        """
        features, candidates, scores = self._first_stage(self._client_inputs.read(query))
        asked = tf.concat([candidates, self._rows(item_id)[:, tf.newaxis]], axis=1)
        ranked = self._ranking.score(features, tf.gather(self._vectors.ranking, asked))
        of_candidates = {name: values[:, :-1] for name, values in ranked.items()}
        items, listed = self._list(candidates, scores + self._weights.added(of_candidates), {})
        lists = {"retrieved": candidates, "retrieved_score": scores, "recommended": items, "recommended_score": listed}
        return lists | {name: values[:, -1] for name, values in ranked.items() if name not in PARTS}

    def similar(self, item_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Items with the nearest embeddings, by cosine: [B, K] item_id, title, score."""
        items = self._rows(item_id)
        query = self._vectors.directions(items)
        found = self._similar_index.search(query, min(self._recommended + 1, self._recommendable))
        keep = (found != items[:, tf.newaxis]) & (items < self._size)[:, tf.newaxis]
        found = kept(found, keep, self._recommended, self._size)
        scores = tf.linalg.matvec(self._vectors.directions(found), query)
        return {
            "item_id": tf.gather(self.ids, found),
            "title": tf.gather(self._titles, found),
            "score": tf.where(found == self._size, NO_SCORE, scores),
        }

    def _known_history(self, user_id: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The most recent interactions of known users: [B, H] ids and times, padded with "" and 0."""
        users = self._user_rows(user_id)
        starts, ends = tf.gather(self._starts, users), tf.gather(self._starts, users + 1)
        rows = tf.ragged.range(starts, tf.minimum(ends, starts + self._histories.known))
        ages = tf.cast(tf.gather(self._had_ages, rows), tf.int64)
        items = tf.cast(tf.gather(self._had_rows, rows), tf.int32).to_tensor(default_value=self._size)
        return tf.gather(self.ids, items), (self._end_of_data - ages).to_tensor()

    def _looked_at(self, query: Query) -> tuple[inputs.Batch, tf.Tensor]:
        """The model features of the query side, and the embeddings."""
        features = self._features(query)
        return features, self._vectors_of(features)

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
        transformed = self._transform(raw)
        indices = tf.gather(self._item_indices, self._history_rows(query))
        users = self._user_rows(query[f.USER_ID])
        features = inputs.gathered(self._user_features, users)
        features |= {
            f.MOMENT: transformed[f.MOMENT],
            f.HISTORY_ITEM_ID: tf.where(items == "", tf.cast(f.PADDING, indices.dtype), indices),
            f.HISTORY_GAP: inputs.gaps(moment, times),
            **{name: transformed[name] for name in self._context},
        }
        return {name: features[name] for name in self._query_names}

    def _vectors_of(self, features: inputs.Batch) -> tf.Tensor:
        """[B, D] query embeddings; what is popular now is what all rows tell, unless only those of train are known."""
        vectors = self._retrieval.query(features)
        after = vectors[:, -2:-1]
        by_all = after * self._knows_all
        return tf.concat([vectors[:, :-2], after - by_all, by_all], axis=1)

    def _retrieved(self, query: Query, exclude: tf.Tensor | None = None, wanted: Wanted | None = None) -> _Retrieved:
        """The best items that may be recommended."""
        features, vectors = self._look(query)

        def search(queries: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
            asked = tf.gather(vectors, queries)
            if not wanted:
                return self._index.search(asked, k)
            return self._filters.search(self._index.search, asked, wanted.of(queries), k)

        queries = tf.range(tf.shape(vectors)[0])
        if not self._histories.repeats:
            shown = query[f.HISTORY_ITEM_ID]
            shown = shown if exclude is None else tf.concat([shown, exclude], axis=1)
            had = self._had(query[f.USER_ID]), of_lists(self._rows(shown))
            items = self._found(search, queries, LeftOut(tf.size(queries), self._size, *had))
        else:
            left_out = None
            if exclude is not None:
                left_out = LeftOut(tf.size(queries), self._size, of_lists(self._rows(exclude)))
            found = self._found(search, queries, left_out)
            items = each_once(tf.concat([self._own(query, queries, left_out, wanted), found], axis=1), self._size)
        scores = self._retrieval_scores(features, vectors, items)
        # An approximate search may order by other scores than the exact ones.
        top = tf.math.top_k(tf.where(items == self._size, NO_SCORE, scores), self._candidates_wanted)
        return _Retrieved(features, tf.gather(items, top.indices, batch_dims=1), top.values)

    def _found(self, search: Search, queries: tf.Tensor, left_out: LeftOut | None) -> tf.Tensor:
        return best(search, queries, left_out, self._candidates_wanted, self._recommendable)

    def _own(self, query: Query, queries: tf.Tensor, left_out: LeftOut | None, wanted: Wanted | None) -> tf.Tensor:
        """[B, H] the history's items that may be recommended again; row n stands for the others."""
        items = self._history_rows(query)
        if self._hidden is not None:
            items = tf.where(tf.gather(self._hidden, items), self._size, items)
        if left_out is not None:
            items = tf.where(left_out.has(queries, items), self._size, items)
        if wanted:
            items = tf.where(self._filters.passing(items, wanted), items, self._size)
        return items

    def _had(self, user_id: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """What is known of what each query's user has had, as pairs for `LeftOut`."""
        known = ranges(self._starts, self._user_rows(user_id))
        queries = tf.searchsorted(known.row_splits[1:], tf.range(known.row_splits[-1]), side="right")
        return queries, tf.gather(self._had_rows, known.flat_values)

    def _retrieval_scores(self, features: inputs.Batch, vectors: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        logits = self._vectors.logits(vectors, items)
        indices = tf.gather(self._item_indices, items)
        return retrieval_scores(self._retrieval, self._histories, vectors, features, indices, logits)

    def _history_rows(self, query: Query) -> tf.Tensor:
        return self._rows(query[f.HISTORY_ITEM_ID][:, : self._histories.known])
