"""Asks the servable what each eval interaction is about, through its signatures, and ranks the answers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.utils import shared

from components.evaluation.ranks import Popularity, list_ranks
from pipeline import features as f

RETRIEVAL, PER_USER = "retrieval", "per_user"
BEFORE, AFTER = "two_stage_before", "two_stage_after"
POPULARITY, POPULARITY_UNFILTERED, LIFT = "popularity", "popularity_unfiltered", "lift"
RATING, PREFERENCE = "rating", "preference"

# Features that slices are cut by.
USER, HISTORY, POPULARITY_OF_MOVIE = "user", "history", "movie"
_SHORT_HISTORY = 10
_HEAD_SHARE = 0.1  # The most popular tenth of the rated movies is the head; the less popular half is the tail.
_TAIL_SHARE = 0.5

_BATCH = 512
_NOTHING = np.array([])


class ReadExamples(beam.PTransform):
    """A split's examples as tf.Examples keyed by user."""

    def __init__(self, uri: str):
        super().__init__()
        self._pattern = os.path.join(uri, "*")

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        return (
            pbegin
            | beam.io.ReadFromTFRecord(self._pattern)
            | beam.Map(tf.train.Example.FromString)
            | beam.Map(lambda example: (_bytes(example, f.USER_ID.name)[0], example))
        )


class Predict(beam.DoFn):
    """A user's train movies and eval examples to TFMA extracts, one for each eval example.

    Each extract's predictions hold, by output name: ranks of the true movie in the lists (`RETRIEVAL`, `POPULARITY`,
    `POPULARITY_UNFILTERED`, `LIFT` with the first two; `BEFORE` and `AFTER` ranking where the movie is liked), ranks
    of all the user's eval movies in the list of the user's first eval query (`PER_USER`), and the predicted rating and
    preference.
    """

    def __init__(self, model_dir: str, preference_threshold: float):
        self._model_dir = model_dir
        self._preference_threshold = preference_threshold
        self._handle = shared.Shared()

    def setup(self) -> None:
        self._model = self._handle.acquire(lambda: _load(self._model_dir))

    def start_bundle(self) -> None:
        self._pending = []

    def process(self, element: tuple[bytes, dict[str, Any]], popularity: Popularity) -> Iterator[dict[str, Any]]:
        user_id, groups = element
        examples = sorted(groups["eval"], key=lambda example: _ints(example, f.TIMESTAMP.name)[0])
        if not examples:
            return
        seen = set(groups["train"])
        seen_counts = popularity.counts_of(seen)
        wanted = [_bytes(example, f.MOVIE_ID.name)[0] for example in examples]
        for number, example in enumerate(examples):
            movie = wanted[number]
            # A movie that was seen is filtered out, so that it cannot be found again.
            filtered = np.inf if movie in seen else popularity.rank(movie, seen_counts)
            popular = popularity.rank(movie, _NOTHING), filtered
            slices = {
                USER: "warm" if seen else "cold",
                HISTORY: _history_length(len(_ints(example, f.HISTORY_TIMESTAMP.name))),
                POPULARITY_OF_MOVIE: popularity.level(movie, _HEAD_SHARE, _TAIL_SHARE),
            }
            self._pending.append((user_id, example, popular, wanted if number == 0 else (), slices))
        while len(self._pending) >= _BATCH:
            yield from self._predict(self._pending[:_BATCH])
            self._pending = self._pending[_BATCH:]

    def finish_bundle(self) -> Iterator[Any]:
        if self._pending:
            for extracts in self._predict(self._pending):
                yield beam.transforms.window.GlobalWindows.windowed_value(extracts)
        self._pending = []

    def _predict(self, rows: list[tuple]) -> Iterator[dict[str, Any]]:
        users, examples, popular, user_movies, slices = zip(*rows, strict=True)
        movies = [_bytes(example, f.MOVIE_ID.name)[0] for example in examples]
        query = {
            f.USER_ID.name: tf.constant(users),
            f.TIMESTAMP.name: tf.constant([_ints(example, f.TIMESTAMP.name)[0] for example in examples], tf.int64),
            f.HISTORY_MOVIE_ID.name: _padded([_bytes(e, f.HISTORY_MOVIE_ID.name) for e in examples], b"", tf.string),
            f.HISTORY_TIMESTAMP.name: _padded([_ints(e, f.HISTORY_TIMESTAMP.name) for e in examples], 0, tf.int64),
        }
        call = self._model.signatures
        retrieved = {name: value.numpy() for name, value in call["retrieve"](**query).items()}
        recommended = {name: value.numpy() for name, value in call["recommend"](**query).items()}
        ranked = call["rank"](**query, movie_id=tf.constant(movies)[:, tf.newaxis])
        ratings = ranked["predicted_rating"].numpy()[:, 0]
        for row, movie in enumerate(movies):
            rating = examples[row].features.feature[f.USER_RATING.name].float_list.value[0]
            liked = rating >= self._preference_threshold
            before = list_ranks(retrieved["movie_id"][row], retrieved["score"][row], [movie])
            after = list_ranks(recommended["movie_id"][row], recommended["score"][row], [movie])
            of_user = list_ranks(retrieved["movie_id"][row], retrieved["score"][row], user_movies[row])
            unfiltered, filtered = popular[row]
            predictions = {
                RETRIEVAL: before,
                PER_USER: of_user,
                BEFORE: before if liked else _NOTHING,
                AFTER: after if liked else _NOTHING,
                POPULARITY: np.array([filtered]),
                POPULARITY_UNFILTERED: np.array([unfiltered]),
                LIFT: np.array([before[0], filtered]),
                RATING: np.array([ratings[row]]),
                # A probability that falls below one half where the predicted rating falls below the threshold.
                PREFERENCE: np.array([1 / (1 + np.exp(self._preference_threshold - ratings[row]))]),
            }
            labels = {RATING: np.array([rating]), PREFERENCE: np.array([float(liked)])}
            yield {
                tfma.PREDICTIONS_KEY: predictions,
                tfma.LABELS_KEY: {name: labels.get(name, _NOTHING) for name in predictions},
                tfma.FEATURES_KEY: {name: np.array([value]) for name, value in slices[row].items()},
            }


class Predictions(beam.PTransform):
    """The extracts of a whole eval split."""

    def __init__(self, model_dir: str, train_uri: str, eval_uri: str, catalogue_uri: str, preference_threshold: float):
        super().__init__()
        self._predict = Predict(model_dir, preference_threshold)
        self._train_uri, self._eval_uri, self._catalogue_uri = train_uri, eval_uri, catalogue_uri

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        train = (
            pbegin
            | "ReadTrain" >> ReadExamples(self._train_uri)
            | beam.MapTuple(lambda user, example: (user, _bytes(example, f.MOVIE_ID.name)[0]))
        )
        counts = train | beam.Values() | beam.combiners.Count.PerElement() | beam.combiners.ToDict()
        movies = (
            pbegin
            | "ReadCatalogue" >> beam.io.ReadFromTFRecord(os.path.join(self._catalogue_uri, "*"))
            | beam.combiners.Count.Globally()
        )
        popularity = counts | "Popularity" >> beam.Map(Popularity, beam.pvalue.AsSingleton(movies))
        return (
            {"train": train, "eval": pbegin | "ReadEval" >> ReadExamples(self._eval_uri)}
            | beam.CoGroupByKey()
            | beam.ParDo(self._predict, beam.pvalue.AsSingleton(popularity))
        )


def _history_length(entries: int) -> str:
    return "none" if not entries else "short" if entries < _SHORT_HISTORY else "long"


def _load(model_dir: str):
    import scann  # noqa: F401  Registers the ops that the index needs.

    return tf.saved_model.load(model_dir)


def _bytes(example: tf.train.Example, name: str) -> list[bytes]:
    return list(example.features.feature[name].bytes_list.value)


def _ints(example: tf.train.Example, name: str) -> list[int]:
    return list(example.features.feature[name].int64_list.value)


def _padded(lists: list[list], filler: Any, dtype: tf.DType) -> tf.Tensor:
    width = max(map(len, lists))
    return tf.constant([row + [filler] * (width - len(row)) for row in lists], dtype, [len(lists), width])
