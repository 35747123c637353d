"""Asks the servable what each eval interaction is about, through its signatures, and ranks the answers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.utils import shared
from tensorflow.core.protobuf import saved_model_pb2

from components.evaluator import outputs as o
from components.evaluator import slices
from components.evaluator.ranks import Popularity, list_ranks
from components.queries import Queries
from components.tables import shards
from models import inputs
from models.features import names as f

_BATCH = 512
_CELLS = 2**21  # Limit of a batch's rows times the longest list of seen or relevant items in it: 16 MB a tensor.
_SEEN = {name: tf.io.FixedLenFeature([], tf.string) for name in (f.USER_ID, f.ITEM_ID)}
_ASKED = _SEEN | {f.TIMESTAMP: tf.io.FixedLenFeature([], tf.int64)}


class _Shard(NamedTuple):
    """The files of some users."""

    train: str | None
    eval: str


def _count(path: str) -> Iterator[tuple[bytes, int]]:
    """A file of train examples to the items' counts, batch by batch, as Beam's work for an element costs as much."""
    for batch in inputs.column_batches([path], {f.ITEM_ID: _SEEN[f.ITEM_ID]}):
        for item, count in zip(*np.unique(batch[f.ITEM_ID], return_counts=True), strict=True):
            yield item, int(count)


def _seen_by(path: str | None, users: Collection[bytes]) -> dict[bytes, frozenset[bytes]]:
    """The train items of these users, from the file that all of theirs are in."""
    if not path:
        return {}
    columns = inputs.read_columns([path], _SEEN)
    order = np.argsort(columns[f.USER_ID], kind="stable")
    names, starts = np.unique(columns[f.USER_ID][order], return_index=True)
    items = np.split(columns[f.ITEM_ID][order], starts[1:])
    return {name: frozenset(seen) for name, seen in zip(names, items, strict=True) if name in users}


class _Row(NamedTuple):
    """A serialized eval example with what is known of its user."""

    record: bytes
    seen: frozenset[bytes]  # In train.
    items: list[bytes]  # The user's eval items, each once, with the user's first eval example; else none.
    popular: tuple[float, float]  # The true item's rank under popularity: all items, and without what was seen.
    slices: list[str]


def _rows(shard: _Shard, popularity: Popularity, sliced: Mapping[str, slices.Sliced]) -> Iterator[_Row]:
    """A shard's eval examples, by the length of what their users have seen."""
    asked = inputs.read_columns([shard.eval], _ASKED)
    users, items, times = (asked[name] for name in (f.USER_ID, f.ITEM_ID, f.TIMESTAMP))
    records = inputs.read_records([shard.eval])
    seen_by = _seen_by(shard.train, set(users))
    # By the length of what they have seen, as the longest in a batch decides what the batch costs.
    order = sorted(range(len(users)), key=lambda n: (len(seen_by.get(users[n], ())), users[n], times[n]))
    for user, numbers in itertools.groupby(order, key=lambda n: users[n]):
        mine = list(numbers)
        seen = seen_by.get(user, frozenset())
        relevant = [items[number] for number in mine]
        unfiltered = popularity.ranks(relevant, np.array([]))
        filtered = popularity.ranks(relevant, popularity.counts_of(seen))
        for place, (number, item) in enumerate(zip(mine, relevant, strict=True)):
            # An item that was seen is filtered out, so that it cannot be found again.
            popular = unfiltered[place], np.inf if item in seen else filtered[place]
            example = tf.train.Example.FromString(records[number])
            cut = slices.of_example(example, bool(seen), popularity.level(item), sliced)
            yield _Row(records[number], seen, [] if place else [*dict.fromkeys(relevant)], popular, cut)


def batches(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    """Up to `_BATCH` rows each, and fewer where one is wide, as tensors are as wide as the widest in a batch."""
    batch, widest = [], 1
    for row in rows:
        width = max(len(row.seen), len(row.items))
        if batch and (len(batch) == _BATCH or (len(batch) + 1) * max(widest, width) > _CELLS):
            yield batch
            batch, widest = [], 1
        batch.append(row)
        widest = max(widest, width)
    if batch:
        yield batch


class Predict(beam.DoFn):
    """A shard's eval examples to TFMA extracts of up to `_BATCH` queries.

    Args:
      model_dirs: the servable's directory by the prefix of its outputs' names.
      sliced: features to slice by.
      preference_threshold: the rating from which on an item is liked.
    """

    def __init__(self, model_dirs: dict[str, str], sliced: Mapping[str, slices.Sliced], preference_threshold: float):
        self._model_dirs = model_dirs
        self._sliced = sliced
        self._preference_threshold = preference_threshold
        self._handles = {prefix: shared.Shared() for prefix in model_dirs}

    def setup(self) -> None:
        self._models = {
            prefix: handle.acquire(lambda prefix=prefix: load(self._model_dirs[prefix]))
            for prefix, handle in self._handles.items()
        }

    def process(self, shard: _Shard, popularity: Popularity) -> Iterator[dict[str, Any]]:
        for rows in batches(_rows(shard, popularity, self._sliced)):
            yield self._measure(rows, popularity)

    def _measure(self, rows: list[_Row], popularity: Popularity) -> dict[str, Any]:
        queries = Queries([row.record for row in rows])
        ratings = queries.ratings
        liked = np.ones(len(rows), bool)  # Without ratings whatever a user had counts as liked.
        if ratings is not None:
            liked = ratings.astype(np.float32) >= np.float32(self._preference_threshold)  # As Transform compares.
        popular = np.array([row.popular for row in rows])
        predictions = {o.POPULARITY_UNFILTERED: popular[:, :1], o.POPULARITY: popular[:, 1:]}
        labels = {}
        for prefix, model in self._models.items():
            answers = self._of_model(model, queries, rows, liked, popularity)
            predictions |= {prefix + name: values for name, values in answers.items()}
            if ratings is not None:
                labels |= {prefix + o.RATING: ratings, prefix + o.PREFERENCE: liked.astype(float)}
        return {
            tfma.PREDICTIONS_KEY: predictions,
            tfma.LABELS_KEY: {name: labels.get(name, np.zeros(len(rows))) for name in predictions},
            o.SLICES: [row.slices for row in rows],
        }

    def _of_model(self, model, queries: Queries, rows: list[_Row], liked: np.ndarray, popularity: Popularity):
        retrieved = queries.ask(model, "retrieve")
        recommended = queries.ask(model, "recommend")
        true = queries.items[:, np.newaxis]
        before = list_ranks(retrieved["item_id"], retrieved["score"], true)
        after = list_ranks(recommended["item_id"], recommended["score"], true)
        per_user = np.full([len(rows), max(1, *(len(row.items) for row in rows))], np.nan)
        for number, row in enumerate(rows):
            if row.items:
                one = slice(number, number + 1)
                wanted = np.array([row.items], object)
                ranks = list_ranks(retrieved["item_id"][one], retrieved["score"][one], wanted)
                per_user[one, : len(row.items)] = ranks
        lists = [[item for item in row if item] for row in recommended["item_id"]]
        figures = {
            o.RETRIEVAL: before,
            o.PER_USER: per_user,
            o.BEFORE: np.where(liked[:, np.newaxis], before, np.nan),
            o.AFTER: np.where(liked[:, np.newaxis], after, np.nan),
            o.RECOMMENDED: recommended["item_id"],
            o.AVERAGE_POPULARITY: np.array([popularity.mean_count(items) for items in lists]),
            o.SEEN_SHARE: np.array(
                [sum(item in row.seen for item in items) for items, row in zip(lists, rows, strict=True)]
            )
            / recommended["item_id"].shape[1],
        }
        if queries.ratings is not None:
            ranked = queries.ask(model, "rank", item_id=tf.constant(queries.items)[:, tf.newaxis])
            predicted = ranked["predicted_rating"][:, 0].astype(float)
            figures[o.RATING] = predicted
            # A probability that falls below one half where the predicted rating falls below the threshold.
            figures[o.PREFERENCE] = 1 / (1 + np.exp(self._preference_threshold - predicted))
        return figures


class Predictions(beam.PTransform):
    """The extracts of a whole eval split.

    Args:
      model_dirs: as for `Predict`.
      train_uri, eval_uri: InteractionGen's splits.
      catalogue_size: number of items.
      sliced, preference_threshold: as for `Predict`.
    """

    def __init__(
        self,
        model_dirs: dict[str, str],
        train_uri: str,
        eval_uri: str,
        catalogue_size: int,
        sliced: Mapping[str, slices.Sliced],
        preference_threshold: float,
    ):
        super().__init__()
        self._predict = Predict(model_dirs, sliced, preference_threshold)
        self._train_uri, self._eval_uri = train_uri, eval_uri
        self._catalogue_size = catalogue_size

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        train, eval_ = map(shards.paths, (self._train_uri, self._eval_uri))
        counts = (
            pbegin
            | "TrainFiles" >> beam.Create([*train.values()])
            | "Count" >> beam.FlatMap(_count)
            | beam.CombinePerKey(sum)
            | beam.combiners.ToDict()
        )
        popularity = counts | "Popularity" >> beam.Map(Popularity, self._catalogue_size)
        pairs = [_Shard(train.get(name), path) for name, path in eval_.items()]
        return pbegin | "Shards" >> beam.Create(pairs) | beam.ParDo(self._predict, beam.pvalue.AsSingleton(popularity))


def signature_names(model_dir: str) -> dict[str, tuple[set[str], set[str]]]:
    """Names of the inputs and outputs of each signature of a SavedModel, which is not loaded."""
    model = saved_model_pb2.SavedModel()
    with tf.io.gfile.GFile(os.path.join(model_dir, tf.saved_model.SAVED_MODEL_FILENAME_PB), "rb") as file:
        model.ParseFromString(file.read())
    signatures = model.meta_graphs[0].signature_def.items()
    return {name: (set(signature.inputs), set(signature.outputs)) for name, signature in signatures}


def load(model_dir: str):
    """A servable, with the ops that its index needs."""
    import scann  # noqa: F401

    return tf.saved_model.load(model_dir)
