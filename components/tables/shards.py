"""Writing examples in shards of bounded size, of which each is made by one worker from the rows that fall to it."""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts

from components import storage
from models.errors import UserError

_SOURCE_BYTES = 2**21  # Of the source for each shard: 80,000 rows of a rating as text.
_LEAST = 8  # So that a few workers get equal parts of small data.
_COMPRESSION = tf.io.TFRecordOptions("GZIP", compression_level=1)  # A third of the default's time, an eighth larger.


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


def pack(batch: pa.RecordBatch) -> bytes:
    """Rows as bytes, for `unpack`: a runner may hold what is grouped in memory, and packed they take a dozen each."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as stream:
        stream.write_batch(batch)
    return sink.getvalue().to_pybytes()


def unpack(packs: Iterable[bytes]) -> pa.Table | None:
    """The rows of packs, in no particular order; None where there is no pack."""
    tables = [pa.ipc.open_stream(one).read_all() for one in packs]
    return pa.concat_tables(tables).combine_chunks() if tables else None


def packs_by_shard(batch: pa.RecordBatch, key: str, shards: int) -> Iterator[tuple[int, bytes]]:
    """Divides rows by the shards of a text column."""
    encoded = batch.column(key).dictionary_encode()
    of_key = np.array([shard_of(one, shards) for one in encoded.dictionary.to_pylist()], np.int64)
    shard = of_key[encoded.indices.to_numpy()]
    order = np.argsort(shard, kind="stable")
    ordered = batch.take(pa.array(order))
    bounds = np.searchsorted(shard[order], np.arange(shards + 1))
    for number in np.unique(shard):
        start, end = bounds[number], bounds[number + 1]
        yield int(number), pack(ordered.slice(start, end - start))


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
