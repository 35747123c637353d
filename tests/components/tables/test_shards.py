"""Shards by what is known of them: numbers, bounds, order."""

import apache_beam as beam
from apache_beam.testing.util import assert_that

from components.tables import shards


def test_the_size_of_the_source_alone_decides_how_many_there_are(tmp_path):
    for name, size in (("a", 2**20), ("b", 2**25)):
        (tmp_path / name).write_bytes(bytes(size))
    assert shards.shard_count([str(tmp_path / "a")]) == 8, "at least"
    assert shards.shard_count([str(tmp_path / name) for name in ("a", "b")]) == 16


def test_a_key_has_the_same_shard_in_every_process():
    assert [shards.shard_of(key, 8) for key in ("1", "2", "user 7", "é")] == [7, 5, 4, 6]
    spread = [shards.shard_of(str(key), 8) for key in range(8000)]
    assert all(900 < spread.count(shard) < 1100 for shard in range(8))


def test_packs_hold_every_row_once_in_its_shard_a_thousand_at_most():
    rows = [(str(n % 100), n, 0.5) for n in range(20_000)]

    def right(found):
        unpacked = [(shard, list(shards.unpacked([pack]))) for shard, pack in found]
        assert sorted(row for _, pack in unpacked for row in pack) == sorted(rows)
        assert max(len(pack) for _, pack in unpacked) == 1000
        assert all(shards.shard_of(row[0], 4) == shard for shard, pack in unpacked for row in pack)
        assert sum(len(pack) for _, pack in found) < 20 * len(rows), "bytes"

    with beam.Pipeline() as pipeline:
        by_shard = pipeline | beam.Create(rows) | beam.Map(lambda row: (shards.shard_of(row[0], 4), row))
        assert_that(by_shard | beam.ParDo(shards.Pack(4)), right)
