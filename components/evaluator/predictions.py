"""Asks the servable what each eval interaction is about, through its signatures, and ranks the answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.utils import shared
from tensorflow.core.protobuf import saved_model_pb2

from components.evaluator import outputs as o
from components.evaluator import slices
from components.evaluator.metrics import NDCG_LENGTH, ndcg
from components.evaluator.ranks import list_ranks
from components.evaluator.shards import Shard
from components.queries import ask, assume, read_queries, request
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.queries import Queries
from models.timelines import Timelines

_ASKED = ("retrieve", "recommend", "rank")
_BATCH = 512
_CELLS = 2**21  # Limit of a batch's rows times the longest list of its users' train rows: 16 MB a tensor.
_LOCK = threading.Lock()  # A runner may ask the models of a process from several threads.


def batches(widths: np.ndarray) -> Iterator[np.ndarray]:
    """Places of rows, by their widths, up to `_BATCH` together, and fewer where one is wide.

    Tensors are as wide as the widest row in a batch, so what the longest cost is paid by few.
    """
    order = np.argsort(widths, kind="stable")
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and end - start < _BATCH and (end + 1 - start) * max(1, widths[order[end]]) <= _CELLS:
            end += 1
        yield order[start:end]
        start = end


class Predict(beam.DoFn):
    """A shard's eval rows to TFMA extracts of up to `_BATCH` queries.

    Args:
      model_dirs: the servable's directory by the prefix of its outputs' names.
      features: of the data set.
      sliced: features to slice by.
      items: what is known of the items.
    """

    def __init__(
        self,
        model_dirs: dict[str, str],
        features: FeatureSet,
        sliced: Mapping[str, slices.Sliced],
        items: slices.Items,
    ):
        self._model_dirs = model_dirs
        self._features = features
        self._sliced = {name: one for name, one in sliced.items() if name not in features.items}
        self._items = items
        self._handles = {prefix: shared.Shared() for prefix in model_dirs}

    def setup(self) -> None:
        self._models = {
            prefix: handle.acquire(lambda prefix=prefix: load(self._model_dirs[prefix]))
            for prefix, handle in self._handles.items()
        }
        self._row_of = {item: row for row, item in enumerate(self._items.ids.tolist())}

    def process(self, shard: Shard) -> Iterator[dict[str, Any]]:
        queries, train = read_queries([shard.train] if shard.train else [], [shard.eval], self._features)
        known = queries.train_rows[shard.rows]
        users = queries.asked.users[f.USER_ID][queries.user[shard.rows]]
        of_user = _items_of_first(users, queries.asked.rows[f.ITEM_ID][shard.rows])
        seen = _seen_by(train, {*users.tolist()})
        with _LOCK:
            for model in self._models.values():
                assume(model, train)
            for places in batches(known):
                yield self._measure(
                    queries,
                    shard,
                    places,
                    [of_user.get(int(place), []) for place in places],
                    [seen.get(user, frozenset()) for user in users[places].tolist()],
                )

    def _measure(
        self,
        queries: Queries,
        shard: Shard,
        places: np.ndarray,
        of_user: list[list[bytes]],
        seen: list[frozenset[bytes]],
    ) -> dict[str, Any]:
        batch = queries.at(tf.constant(shard.rows[places]))
        ranks = [(name, getattr(shard.ranks, name)) for name in o.BASELINES]
        predictions = {name: of[places, np.newaxis] for name, of in ranks if of is not None}
        positive = self._positive(batch)
        of_rows = {o.PREFERENCE: positive.astype(float)}
        if self._features.rated:
            of_rows[o.RATING] = batch[f.RATING].numpy().astype(float)
        labels = {}
        for prefix, model in self._models.items():
            answers = self._of_model(model, batch, positive, of_user, seen)
            predictions |= {prefix + name: values for name, values in answers.items()}
            labels |= {prefix + name: values for name, values in of_rows.items() if name in answers}
        return {
            tfma.PREDICTIONS_KEY: predictions,
            tfma.LABELS_KEY: {name: labels.get(name, np.zeros(len(places))) for name in predictions},
            o.SLICES: self._slices(batch, queries.train_rows[shard.rows[places]]),
        }

    def _positive(self, batch: dict[str, tf.Tensor]) -> np.ndarray:
        """[n] which rows are what the second stage wants more of; all, where the data does not say."""
        positive = self._features.positive
        if positive is None:
            return np.ones(len(batch[f.ITEM_ID]), bool)
        if isinstance(positive, list):
            return np.isin(batch[f.EVENT].numpy().astype(bytes), [kind.encode() for kind in positive])
        return batch[f.RATING].numpy() >= np.float32(positive)  # As Transform compares.

    def _of_model(
        self,
        model,
        batch: dict[str, tf.Tensor],
        positive: np.ndarray,
        of_user: list[list[bytes]],
        seen: list[frozenset[bytes]],
    ) -> dict[str, np.ndarray]:
        inputs = request(batch, self._features)
        retrieved, recommended = ask(model, "retrieve", inputs), ask(model, "recommend", inputs)
        items = batch[f.ITEM_ID].numpy()
        before = list_ranks(retrieved["item_id"], retrieved["score"], items[:, np.newaxis])
        after = list_ranks(recommended["item_id"], recommended["score"], items[:, np.newaxis])
        per_user = np.full([len(items), max(1, *map(len, of_user))], np.nan)
        for number, wanted in enumerate(of_user):
            if wanted:
                one = slice(number, number + 1)
                found = list_ranks(retrieved["item_id"][one], retrieved["score"][one], np.array([wanted], object))
                per_user[one, : len(wanted)] = found
        lists = recommended["item_id"].tolist()
        rows = np.array([[self._row_of.get(item, -1) for item in row] for row in lists])
        moved = ndcg(after, NDCG_LENGTH) - ndcg(before, NDCG_LENGTH)
        figures = {
            o.RETRIEVAL: before,
            o.PER_USER: per_user,
            o.BEFORE: np.where(positive[:, np.newaxis], before, np.nan),
            o.AFTER: np.where(positive[:, np.newaxis], after, np.nan),
            o.MOVED: np.where(positive, moved, np.nan),
            o.RECOMMENDED: recommended["item_id"],
            o.AVERAGE_POPULARITY: np.where(rows >= 0, self._items.counts[rows], 0).sum(1)
            / np.maximum(1, (rows >= 0).sum(1)),
            o.SEEN_SHARE: np.array([sum(item in had for item in row) for row, had in zip(lists, seen, strict=True)])
            / rows.shape[1],
        }
        if self._features.rated or self._features.positive is not None:
            ranked = ask(model, "rank", inputs | {f.ITEM_ID: tf.constant(items[:, np.newaxis])})
            for output, name in ((o.RATING, "predicted_rating"), (o.PREFERENCE, "positive_probability")):
                if name in ranked:
                    figures[output] = ranked[name][:, 0].astype(float)
        return figures

    def _slices(self, batch: dict[str, tf.Tensor], known: np.ndarray) -> list[list[str]]:
        lengths = np.count_nonzero(batch[f.HISTORY_ITEM_ID].numpy() != b"", axis=1)
        columns = {name: batch[name].numpy() for name in self._sliced}
        found = []
        for number, item in enumerate(batch[f.ITEM_ID].numpy().tolist()):
            names = slices.of_query(known[number], lengths[number])
            names += self._items.names[self._items.slices[self._row_of[item]]]
            for name, one in self._sliced.items():
                names += one.names(name, np.atleast_1d(columns[name][number]).tolist())
            found.append(names)
        return found


def _items_of_first(users: np.ndarray, items: np.ndarray) -> dict[int, list[bytes]]:
    """By the place of each user's first row, all the user's items, each once."""
    first: dict[bytes, int] = {}
    wanted: dict[int, dict[bytes, None]] = {}
    for place, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        wanted.setdefault(first.setdefault(user, place), {})[item] = None
    return {place: [*distinct] for place, distinct in wanted.items()}


def _seen_by(train: Timelines, users: Collection[bytes]) -> dict[bytes, frozenset[bytes]]:
    """The train items of these users."""
    items = train.rows[f.ITEM_ID]
    return {
        user: frozenset(items[train.starts[place] : train.starts[place + 1]].tolist())
        for place, user in enumerate(train.users[f.USER_ID].tolist())
        if user in users
    }


def asked_names(model_dir: str) -> dict[str, tuple[set[str], set[str]]]:
    """Names of the inputs and outputs of the signatures that are asked, of a SavedModel, which is not loaded."""
    model = saved_model_pb2.SavedModel()
    with tf.io.gfile.GFile(os.path.join(model_dir, tf.saved_model.SAVED_MODEL_FILENAME_PB), "rb") as file:
        model.ParseFromString(file.read())
    signatures = model.meta_graphs[0].signature_def.items()
    return {name: (set(signature.inputs), set(signature.outputs)) for name, signature in signatures if name in _ASKED}


def load(model_dir: str):
    """A servable, with the ops that its index needs."""
    import scann  # noqa: F401

    return tf.saved_model.load(model_dir)
