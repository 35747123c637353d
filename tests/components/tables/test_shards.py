"""Shards by what is known of them: numbers, bounds, order."""

import numpy as np
import pyarrow as pa

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


def test_packs_hold_every_row_once_in_its_shard_in_a_few_bytes():
    numbers = np.arange(20_000)
    rows = pa.table({"key": [str(n % 100) for n in numbers], "n": numbers, "none": pa.nulls(20_000, pa.float32())})
    packs = list(shards.packs_by_shard(rows.to_batches()[0], "key", 4))
    assert [shard for shard, _ in packs] == [0, 1, 2, 3]
    for shard, pack in packs:
        expected = [n for n in numbers if shards.shard_of(str(n % 100), 4) == shard]
        assert shards.unpack([pack]).equals(rows.take(expected))
    assert sum(len(pack) for _, pack in packs) < 10 * len(rows), "bytes"
    both = shards.unpack([pack for _, pack in packs[:2]])
    assert len(both) == sum(len(shards.unpack([pack])) for _, pack in packs[:2])
    assert shards.unpack([]) is None
