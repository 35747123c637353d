"""Which movies a shard gets."""

import collections

import apache_beam as beam
from apache_beam.testing.util import assert_that

from components import shards
from components.interaction_gen.catalogue_join import MoviesByShard


def movie(movie_id):
    return movie_id, (movie_id, f"Title {movie_id}", ["Drama"])


def rows(shard, *movies):
    return [(shard, (f"user {line}", 100, 0, line, movie_id, 3.0)) for line, movie_id in enumerate(movies)]


def test_a_shard_gets_the_movies_that_are_rated_in_it_once_each():
    everywhere = ["popular"] * 700  # More than once, and not in one bundle.
    asked = rows(0, "a", "b", *everywhere) + rows(1, "b", "unknown", *everywhere) + rows(2, *everywhere)
    expected = {0: ["a", "b", "popular"], 1: ["b", "popular"], 2: ["popular"]}

    def right(packed):
        found = collections.defaultdict(list)
        for shard, pack in packed:
            found[shard] += shards.unpacked([pack])
        assert {shard: sorted(movies) for shard, movies in found.items()} == {
            shard: [movie(movie_id)[1] for movie_id in movie_ids] for shard, movie_ids in expected.items()
        }

    with beam.Pipeline() as pipeline:
        wanted = pipeline | "Rows" >> beam.Create(asked)
        movies = pipeline | "Movies" >> beam.Create([movie(name) for name in ("a", "b", "nobody's", "popular")])
        assert_that((wanted, movies) | MoviesByShard(3), right)
