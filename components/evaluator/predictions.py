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
from components.queries import MeasuredServable, assume, read_queries, request
from models.features import names as f
from models.features.feature_set import FeatureSet
from models.queries import Queries
from models.timelines import Timelines

_SIGNATURES = ("recommend", "rank")  # Which have the inputs and outputs of `measure` between them.
_NEEDED = {"assume", "ids", "measure"}  # What is used of a servable beside its signatures.
_BATCH = 1024  # TFMA adds a batch's figures slice by slice, which takes as long for a small one.
_SCORES = 2**29  # Limit of a batch's rows times the catalogue, which an exact index scores whole: 2 GB a tensor.
_CELLS = 2**21  # Limit of a batch's rows times the longest list of its users' train rows: 16 MB a tensor.
# Held by who asks a servable of this process: a runner has several threads, and what a servable knows is changed.
ASKING = threading.RLock()


def batches(widths: np.ndarray, items: int) -> Iterator[np.ndarray]:
    """Places of rows, by their widths, up to `_BATCH` together, and fewer where one is wide or the items are many.

    Tensors are as wide as the widest row in a batch, so what the longest cost is paid by few.
    """
    order = np.argsort(widths, kind="stable")
    most = max(1, min(_BATCH, _SCORES // items))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and end - start < most and (end + 1 - start) * max(1, widths[order[end]]) <= _CELLS:
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

    def servable(self, prefix: str):
        """The model whose outputs have this prefix, loaded once in a process."""
        with ASKING:
            return self._handles[prefix].acquire(lambda: load(self._model_dirs[prefix]))

    def setup(self) -> None:
        self._models = {prefix: self.servable(prefix) for prefix in self._handles}
        self._measured = {prefix: MeasuredServable(model, self._items.ids) for prefix, model in self._models.items()}
        self._row_of = {item: row for row, item in enumerate(self._items.ids.tolist())}

    def process(self, shard: Shard) -> Iterator[dict[str, Any]]:
        queries, train = read_queries([shard.train] if shard.train else [], [shard.eval], self._features)
        known = queries.train_rows[shard.rows]
        users = queries.asked.users[f.USER_ID][queries.user[shard.rows]]
        items = self._rows_of(queries.asked.rows[f.ITEM_ID][shard.rows])
        of_user = _items_of_first(users, items)
        seen = self._seen_by(train, {*users.tolist()})
        with ASKING:
            for model in self._models.values():
                assume(model, train)
            for places in batches(known, len(self._items.ids)):
                yield self._measure(
                    queries,
                    shard,
                    places,
                    items[places],
                    [of_user.get(int(place), []) for place in places],
                    [seen.get(user, frozenset()) for user in users[places].tolist()],
                )

    def _measure(
        self,
        queries: Queries,
        shard: Shard,
        places: np.ndarray,
        items: np.ndarray,
        of_user: list[list[int]],
        seen: list[frozenset[int]],
    ) -> dict[str, Any]:
        batch = queries.at(tf.constant(shard.rows[places]))
        ranks = [(name, getattr(shard.ranks, name)) for name in o.BASELINES]
        predictions = {name: of[places, np.newaxis] for name, of in ranks if of is not None}
        positive = self._positive(batch)
        of_rows = {o.PREFERENCE: positive.astype(float)}
        if self._features.rated:
            of_rows[o.RATING] = batch[f.RATING].numpy().astype(float)
        labels = {}
        sent = request(batch, self._features), batch[f.ITEM_ID]
        for prefix, model in self._measured.items():
            answers = self._of_answers(model(*sent), items, positive, of_user, seen)
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

    def _of_answers(
        self,
        answers: dict[str, np.ndarray],
        items: np.ndarray,
        positive: np.ndarray,
        of_user: list[list[int]],
        seen: list[frozenset[int]],
    ) -> dict[str, np.ndarray]:
        retrieved, recommended = ((answers[name], answers[f"{name}_score"]) for name in ("retrieved", "recommended"))
        before, after = (list_ranks(*of, items[:, np.newaxis]) for of in (retrieved, recommended))
        per_user = np.full([len(items), max(1, *map(len, of_user))], np.nan)
        for number, wanted in enumerate(of_user):
            if wanted:
                one = slice(number, number + 1)
                per_user[one, : len(wanted)] = list_ranks(*(of[one] for of in retrieved), np.array([wanted]))
        rows = recommended[0]
        there = rows >= 0
        moved = ndcg(after, NDCG_LENGTH) - ndcg(before, NDCG_LENGTH)
        return {
            o.RETRIEVAL: before,
            o.PER_USER: per_user,
            o.BEFORE: np.where(positive[:, np.newaxis], before, np.nan),
            o.AFTER: np.where(positive[:, np.newaxis], after, np.nan),
            o.MOVED: np.where(positive, moved, np.nan),
            o.RECOMMENDED: rows,
            o.AVERAGE_POPULARITY: np.where(there, self._items.counts[rows], 0).sum(1) / np.maximum(1, there.sum(1)),
            o.SEEN_SHARE: np.array([len(had.intersection(row)) for row, had in zip(rows.tolist(), seen, strict=True)])
            / rows.shape[1],
            **{
                output: answers[name].astype(float)
                for output, name in ((o.RATING, "predicted_rating"), (o.PREFERENCE, "positive_probability"))
                if name in answers
            },
        }

    def _rows_of(self, items: np.ndarray) -> np.ndarray:
        """[R] rows of the catalogue."""
        return np.array([self._row_of[item] for item in items.tolist()], np.int64)

    def _seen_by(self, train: Timelines, users: Collection[bytes]) -> dict[bytes, frozenset[int]]:
        """The train items of these users."""
        rows = self._rows_of(train.rows[f.ITEM_ID])
        return {
            user: frozenset(rows[train.starts[place] : train.starts[place + 1]].tolist())
            for place, user in enumerate(train.users[f.USER_ID].tolist())
            if user in users
        }

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


def _items_of_first(users: np.ndarray, items: np.ndarray) -> dict[int, list[int]]:
    """By the place of each user's first row, all the user's items, each once."""
    first: dict[bytes, int] = {}
    wanted: dict[int, dict[int, None]] = {}
    for place, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        wanted.setdefault(first.setdefault(user, place), {})[item] = None
    return {place: [*distinct] for place, distinct in wanted.items()}


def can_be_asked(model_dir: str, as_another: str) -> bool:
    """Whether a servable takes and gives what another does; neither is loaded."""
    return _asked(model_dir) == _asked(as_another)


def _asked(model_dir: str) -> tuple[set[str], dict[str, tuple[set[str], set[str]]]]:
    """Which of `_NEEDED` there are, and the names of the inputs and outputs of `_SIGNATURES`."""
    model = saved_model_pb2.SavedModel()
    with tf.io.gfile.GFile(os.path.join(model_dir, tf.saved_model.SAVED_MODEL_FILENAME_PB), "rb") as file:
        model.ParseFromString(file.read())
    graph = model.meta_graphs[0]
    signatures = {
        name: (set(signature.inputs), set(signature.outputs))
        for name, signature in graph.signature_def.items()
        if name in _SIGNATURES
    }
    return _NEEDED & {child.local_name for child in graph.object_graph_def.nodes[0].children}, signatures


def load(model_dir: str):
    """A servable, with the ops that its index needs."""
    import scann  # noqa: F401

    return tf.saved_model.load(model_dir)
