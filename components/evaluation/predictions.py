"""Asks the servable what each eval interaction is about, through its signatures, and ranks the answers."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.utils import shared

from components.evaluation import outputs as o
from components.evaluation import slices
from components.evaluation.queries import Queries, raw_bytes, raw_ints
from components.evaluation.ranks import Popularity, list_ranks
from pipeline import features as f
from pipeline import inputs

_BATCH = 2048


class _ReadSeen(beam.DoFn):
    """A file of train examples to each user's movies, and to the movies' counts, batch by batch.

    By column and not by example: all that is wanted is two ids, and Beam's work for an element is that for a batch.
    """

    def process(self, path: str) -> Iterator[Any]:
        spec = {name: tf.io.FixedLenFeature([], tf.string) for name in (f.USER_ID.name, f.MOVIE_ID.name)}
        for batch in inputs.column_batches([path], spec):
            users, movies = batch[f.USER_ID.name], batch[f.MOVIE_ID.name]
            order = np.argsort(users, kind="stable")
            names, starts = np.unique(users[order], return_index=True)
            for user, seen in zip(names, np.split(movies[order], starts[1:]), strict=True):
                yield user, seen.tolist()
            for movie, count in zip(*np.unique(movies, return_counts=True), strict=True):
                yield beam.pvalue.TaggedOutput("counts", (movie, int(count)))


class _Row(NamedTuple):
    """An eval example with what is known of its user."""

    example: tf.train.Example
    seen: frozenset[bytes]  # In train.
    movies: list[bytes]  # All the user's eval movies, with the user's first eval example; else none.
    popular: tuple[float, float]  # The true movie's rank under popularity: all movies, and without what was seen.
    slices: list[str]


class Predict(beam.DoFn):
    """A user's train movies and eval examples to TFMA extracts of up to `_BATCH` queries.

    Args:
      model_dirs: the servable's directory by the prefix of its outputs' names.
      preference_threshold: the rating from which on a movie is liked.
    """

    def __init__(self, model_dirs: dict[str, str], preference_threshold: float):
        self._model_dirs = model_dirs
        self._preference_threshold = preference_threshold
        self._handles = {prefix: shared.Shared() for prefix in model_dirs}

    def setup(self) -> None:
        self._models = {
            prefix: handle.acquire(lambda prefix=prefix: load(self._model_dirs[prefix]))
            for prefix, handle in self._handles.items()
        }

    def start_bundle(self) -> None:
        self._pending: list[_Row] = []

    def process(self, element: tuple[bytes, dict[str, Any]], popularity: Popularity) -> Iterator[dict[str, Any]]:
        _, groups = element
        examples = sorted(
            map(tf.train.Example.FromString, groups["eval"]), key=lambda example: raw_ints(example, f.TIMESTAMP.name)[0]
        )
        seen = frozenset(itertools.chain.from_iterable(groups["train"]))
        seen_counts = popularity.counts_of(seen)
        movies = [raw_bytes(example, f.MOVIE_ID.name)[0] for example in examples]
        for number, (example, movie) in enumerate(zip(examples, movies, strict=True)):
            # A movie that was seen is filtered out, so that it cannot be found again.
            filtered = np.inf if movie in seen else popularity.rank(movie, seen_counts)
            popular = popularity.rank(movie, np.array([])), filtered
            cut = slices.of_example(example, bool(seen), popularity.level(movie))
            self._pending.append(_Row(example, seen, [] if number else movies, popular, cut))
        while len(self._pending) >= _BATCH:
            yield self._measure(self._pending[:_BATCH], popularity)
            self._pending = self._pending[_BATCH:]
        self._popularity = popularity

    def finish_bundle(self) -> Iterator[Any]:
        if self._pending:
            extracts = self._measure(self._pending, self._popularity)
            yield beam.transforms.window.GlobalWindows.windowed_value(extracts)
        self._pending = []

    def _measure(self, rows: list[_Row], popularity: Popularity) -> dict[str, Any]:
        queries = Queries([row.example for row in rows])
        liked = queries.ratings >= self._preference_threshold
        popular = np.array([row.popular for row in rows])
        predictions = {o.POPULARITY_UNFILTERED: popular[:, :1], o.POPULARITY: popular[:, 1:]}
        labels = {}
        for prefix, model in self._models.items():
            answers = self._of_model(model, queries, rows, liked, popularity)
            predictions |= {prefix + name: values for name, values in answers.items()}
            labels |= {prefix + o.RATING: queries.ratings, prefix + o.PREFERENCE: liked.astype(float)}
        return {
            tfma.PREDICTIONS_KEY: predictions,
            tfma.LABELS_KEY: {name: labels.get(name, np.zeros(len(rows))) for name in predictions},
            o.SLICES: [row.slices for row in rows],
        }

    def _of_model(self, model, queries: Queries, rows: list[_Row], liked: np.ndarray, popularity: Popularity):
        retrieved = queries.ask(model, "retrieve")
        recommended = queries.ask(model, "recommend")
        ranked = queries.ask(model, "rank", movie_id=tf.constant(queries.movies)[:, tf.newaxis])
        true = queries.movies[:, np.newaxis]
        before = list_ranks(retrieved["movie_id"], retrieved["score"], true)
        after = list_ranks(recommended["movie_id"], recommended["score"], true)
        per_user = np.full([len(rows), max(1, *(len(row.movies) for row in rows))], np.nan)
        for number, row in enumerate(rows):
            if row.movies:
                one = slice(number, number + 1)
                wanted = np.array([row.movies], object)
                ranks = list_ranks(retrieved["movie_id"][one], retrieved["score"][one], wanted)
                per_user[one, : len(row.movies)] = ranks
        lists = [[movie for movie in row if movie] for row in recommended["movie_id"]]
        return {
            o.RETRIEVAL: before,
            o.PER_USER: per_user,
            o.BEFORE: np.where(liked[:, np.newaxis], before, np.nan),
            o.AFTER: np.where(liked[:, np.newaxis], after, np.nan),
            o.RATING: ranked["predicted_rating"][:, 0].astype(float),
            # A probability that falls below one half where the predicted rating falls below the threshold.
            o.PREFERENCE: 1 / (1 + np.exp(self._preference_threshold - ranked["predicted_rating"][:, 0])),
            o.RECOMMENDED: recommended["movie_id"],
            o.AVERAGE_POPULARITY: np.array([popularity.mean_count(movies) for movies in lists]),
            o.SEEN_SHARE: np.array(
                [sum(movie in row.seen for movie in movies) for movies, row in zip(lists, rows, strict=True)]
            )
            / recommended["movie_id"].shape[1],
        }


class Predictions(beam.PTransform):
    """The extracts of a whole eval split.

    Args:
      model_dirs: as for `Predict`.
      train_uri, eval_uri: InteractionGen's splits.
      catalogue_size: number of movies.
      preference_threshold: as for `Predict`.
    """

    def __init__(
        self,
        model_dirs: dict[str, str],
        train_uri: str,
        eval_uri: str,
        catalogue_size: int,
        preference_threshold: float,
    ):
        super().__init__()
        self._predict = Predict(model_dirs, preference_threshold)
        self._train_pattern, self._eval_pattern = (os.path.join(uri, "*") for uri in (train_uri, eval_uri))
        self._catalogue_size = catalogue_size

    def expand(self, pbegin: beam.Pipeline) -> beam.PCollection:
        train = (
            pbegin
            | "TrainFiles" >> beam.Create(tf.io.gfile.glob(self._train_pattern), reshuffle=False)
            | "Seen" >> beam.ParDo(_ReadSeen()).with_outputs("counts", main="seen")
        )
        counts = train.counts | beam.CombinePerKey(sum) | beam.combiners.ToDict()
        popularity = counts | "Popularity" >> beam.Map(Popularity, self._catalogue_size)
        eval_examples = (
            pbegin
            | "ReadEval" >> beam.io.ReadFromTFRecord(self._eval_pattern)
            # As bytes: Beam would pickle each example.
            | "ByUser" >> beam.Map(lambda raw: (raw_bytes(tf.train.Example.FromString(raw), f.USER_ID.name)[0], raw))
        )
        return (
            {"train": train.seen, "eval": eval_examples}
            | beam.CoGroupByKey()
            | beam.ParDo(self._predict, beam.pvalue.AsSingleton(popularity))
        )


def load(model_dir: str):
    """A servable, with the ops that its index needs."""
    import scann  # noqa: F401

    return tf.saved_model.load(model_dir)
