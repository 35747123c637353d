"""Which items a shard gets."""

import collections

import apache_beam as beam
from apache_beam.testing.util import assert_that

from components.interaction_gen.examples import Event
from components.interaction_gen.item_join import ItemsByShard
from components.tables import shards


def item(item_id):
    return item_id, (item_id, {"title": f"Title {item_id}", "genres": ["Drama"]})


def rows(shard, *items):
    return [(shard, Event(f"user {line}", 100, 0, line, item_id, 3.0)) for line, item_id in enumerate(items)]


def test_a_shard_gets_the_items_that_are_rated_in_it_once_each():
    everywhere = ["popular"] * 700  # More than once, and not in one bundle.
    asked = rows(0, "a", "b", *everywhere) + rows(1, "b", "unknown", *everywhere) + rows(2, *everywhere)
    expected = {0: ["a", "b", "popular"], 1: ["b", "popular"], 2: ["popular"]}

    def right(packed):
        found = collections.defaultdict(list)
        for shard, pack in packed:
            found[shard] += shards.unpacked([pack])
        assert {shard: sorted(items, key=str) for shard, items in found.items()} == {
            shard: [item(item_id)[1] for item_id in item_ids] for shard, item_ids in expected.items()
        }

    with beam.Pipeline() as pipeline:
        wanted = pipeline | "Rows" >> beam.Create(asked)
        items = pipeline | "Items" >> beam.Create([item(name) for name in ("a", "b", "nobody's", "popular")])
        assert_that((wanted, items) | ItemsByShard(3), right)
