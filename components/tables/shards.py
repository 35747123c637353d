"""Writing examples in shards of bounded size, of which each is made by one worker from the rows that fall to it."""

from __future__ import annotations

import collections
import os
import pickle
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from components import storage
from models.errors import UserError

_SOURCE_BYTES = 2**21  # Of the source for each shard: 80,000 rows of a rating as text.
_LEAST = 8  # So that a few workers get equal parts of small data.
_COMPRESSION = tf.io.TFRecordOptions("GZIP", compression_level=1)  # A third of the default's time, an eighth larger.
_PACKED = 1000  # Rows in a pack.
_PENDING = 200_000  # Rows that wait for their pack to be full, at most, of all shards.


def shard_count(files: Sequence[str]) -> int:
    """How many shards these source files make: by their size alone, so that the same data gives the same files."""
    return max(_LEAST, sum(map(storage.size, files)) // _SOURCE_BYTES)


def shard_of(key: str, shards: int) -> int:
    """The shard of a key: the same in every process and run."""
    return zlib.crc32(key.encode()) % shards


def file_name(shard: int, shards: int) -> str:
    """The name of a shard's file."""
    return f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"


def paths(uri: str) -> dict[str, str]:
    """The files of a split by their names: what falls to one shard has the same name in every split."""
    return {os.path.basename(path): path for path in sorted(tf.io.gfile.glob(os.path.join(uri, "*")))}


class Pack(beam.DoFn):
    """Rows by their shards, `(shard, row)`, as `(shard, rows)` with many rows packed into bytes, for `unpacked`.

    Runners may hold what is grouped in memory: packed, a row takes a few dozen bytes, and not a few hundred.
    """

    def __init__(self, shards: int):
        self._most = min(_PACKED, max(1, _PENDING // shards))

    def start_bundle(self) -> None:
        self._pending: dict[int, list[tuple]] = collections.defaultdict(list)

    def process(self, element: tuple[int, tuple]) -> Iterator[tuple[int, bytes]]:
        shard, row = element
        rows = self._pending[shard]
        rows.append(row)
        if len(rows) == self._most:
            yield shard, _pack(self._pending.pop(shard))

    def finish_bundle(self) -> Iterator[Any]:
        for shard, rows in self._pending.items():
            yield beam.transforms.window.GlobalWindows.windowed_value((shard, _pack(rows)))


class PackByKey(beam.PTransform):
    """As `Pack`, of rows by their keys, `(key, row)`: each goes to the shard of its key."""

    def __init__(self, shards: int):
        super().__init__()
        self._shards = shards

    def expand(self, rows: beam.PCollection) -> beam.PCollection:
        by_shard = rows | "ByShard" >> beam.MapTuple(lambda key, row: (shard_of(key, self._shards), row))
        return by_shard | "Pack" >> beam.ParDo(Pack(self._shards))


def _pack(rows: list[tuple]) -> bytes:
    return zlib.compress(pickle.dumps([*zip(*rows, strict=True)]), 1)  # By column, a sixth smaller.


def unpacked(packs: Iterable[bytes]) -> Iterator[tuple]:
    """The rows of packs of a shard, in no particular order."""
    for pack in packs:
        yield from zip(*pickle.loads(zlib.decompress(pack)), strict=True)


class Writer:
    """Writes files of an Examples artifact, whose splits it names.

    A file is written under another name and gets its own when all are there. So a try that Beam gave up leaves no rows
    behind, and the order in which a directory lists the files does not depend on which worker was the first.
    """

    def __init__(self, artifacts: list[standard_artifacts.Examples], splits: Sequence[str]):
        examples = artifact_utils.get_single_instance(artifacts)
        examples.split_names = artifact_utils.encode_split_names(list(splits))
        self._splits = {split: artifact_utils.get_split_uri(artifacts, split) for split in splits}
        self._unfinished = os.path.join(examples.uri, "unfinished")

    def write(self, split: str, name: str, examples: Iterable[bytes]) -> tuple[str, str]:
        """Writes a file of serialized examples; returns for `commit` its path and the one that it is to have."""
        path = os.path.join(self._unfinished, f"{uuid.uuid4()}-{name}")
        fileio.makedirs(self._unfinished)
        with tf.io.TFRecordWriter(path, _COMPRESSION) as file:
            for example in examples:
                file.write(example)
        return path, os.path.join(self._splits[split], name)

    def commit(self, written: beam.PCollection) -> None:
        """Renames the files that `write` made to their final names."""
        written | "Written" >> beam.combiners.ToList() | "Commit" >> beam.Map(self._commit)

    def _commit(self, written: Iterable[tuple[str, str]]) -> None:
        for directory in self._splits.values():
            fileio.makedirs(directory)
        for path, final in sorted(written, key=lambda pair: pair[1]):
            if fileio.exists(path):
                fileio.rename(path, final, overwrite=True)
            elif not fileio.exists(final):  # Else a try that was given up has done it.
                raise UserError(f"{path} is missing: Beam's workers have to write where the pipeline root is")
        if fileio.exists(self._unfinished):
            fileio.rmtree(self._unfinished)
