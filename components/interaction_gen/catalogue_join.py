"""Brings each shard the catalogue's rows of the movies that are rated in it, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam

from components import shards

_REMEMBERED = 200_000  # Pairs that a worker keeps, so as not to ask again.


class MoviesByShard(beam.PTransform):
    """Packed movies by shard, of rows `(shard, (user, timestamp, file, line, movie, rating))` and movies by id.

    Movies and those who ask for them meet by movie id, in as many parts as there are shards. A popular movie is asked
    for by every shard once, and not once an interaction. Nobody holds the catalogue as a whole.
    """

    def __init__(self, number: int):
        super().__init__()
        self._number = number

    def expand(self, collections: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        rows, movies = collections
        asked = rows | "Ask" >> beam.ParDo(_Ask(self._number)) | "PackAsked" >> beam.ParDo(shards.Pack(self._number))
        offered = movies | "PackOffered" >> shards.PackByKey(self._number)
        return (
            {"asked": asked, "offered": offered}
            | "Meet" >> beam.CoGroupByKey()
            | "Answer" >> beam.FlatMapTuple(_answer)
            | "PackAnswers" >> beam.ParDo(shards.Pack(self._number))
        )


class _Ask(beam.DoFn):
    """Rows to the pairs of movie and shard in them, by the movies' parts; hardly any of them twice."""

    def __init__(self, number: int):
        self._number = number

    def start_bundle(self) -> None:
        self._asked: set[tuple[str, int]] = set()

    def process(self, element: tuple[int, tuple]) -> Iterator[tuple[int, tuple[str, int]]]:
        shard, (_, _, _, _, movie_id, _) = element
        if (movie_id, shard) not in self._asked:
            if len(self._asked) == _REMEMBERED:
                self._asked.clear()
            self._asked.add((movie_id, shard))
            yield shards.of(movie_id, self._number), (movie_id, shard)


def _answer(_part: int, groups: dict[str, Iterable[bytes]]) -> Iterator[tuple[int, tuple]]:
    movies = {movie[0]: movie for movie in shards.unpacked(groups["offered"])}
    for movie_id, shard in set(shards.unpacked(groups["asked"])):
        if movie_id in movies:
            yield shard, movies[movie_id]
