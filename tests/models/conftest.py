"""Transform's real output on a few rows."""

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx_bsl.public import tfxio

from components.tables.records import to_examples
from models.features.feature_set import FeatureSet
from models.features.kinds import Number, Tags, Text
from models.features.preprocessing import preprocessing_fn
from models.features.schema import build_schema
from models.settings import Transform


def raw_row(user, item, rating, timestamp, history=(), title="The Film (1999)", tags=("Drama",), **fields):
    return {
        "user_id": user,
        "item_id": item,
        "rating": rating,
        "timestamp": timestamp,
        "title": title,
        "tags": list(tags),
        "history_item_id": [item for item, _ in history],
        "history_timestamp": [moment for _, moment in history],
        **fields,
    }


ROWS = [
    raw_row("a", "1", 5.0, 1_000, title="Star Wars (1977)", tags=["Action", "Sci-Fi"], age=20.0),
    raw_row("a", "2", 3.0, 2_000, [("1", 1_000)], "Star Trek: Amélie", ["Sci-Fi"], age=20.0),
    raw_row("b", "1", 4.0, 3_000, [("2", 2_940), ("9", 0)], "Star Wars (1977)", ["Action", "Sci-Fi"]),
    raw_row("c", "3", 2.0, 4_000, title="Alone", tags=[], age=40.0),
]


FEATURES = FeatureSet(items={"title": Text(min_count=1), "tags": Tags()}, users={"age": Number()})
RAW = FEATURES.of_interactions()


@pytest.fixture(scope="session")
def features():
    """Those of `raw_rows`."""
    return FEATURES


@pytest.fixture(scope="session")
def raw_rows():
    return ROWS


@pytest.fixture(scope="session")
def transformed(tmp_path_factory):
    """Transform's graph and the file with its examples, made by TFT on Beam from `raw_rows`."""
    directory = tmp_path_factory.mktemp("transform")
    schema = build_schema(RAW)
    source = tfxio.TFExampleRecord(file_pattern=str(directory / "raw.gz"), schema=schema)
    with tf.io.TFRecordWriter(str(directory / "raw.gz"), "GZIP") as writer:
        for example in to_examples(ROWS, RAW):
            writer.write(example)
    settings = Transform(timestamp_buckets=2)
    with (
        tft_beam.Context(temp_dir=str(directory / "tmp")),
        beam.Pipeline() as pipeline,
    ):
        raw = (pipeline | source.BeamSource(), source.TensorAdapterConfig())
        data, function = raw | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, RAW, settings), output_record_batches=True
        )
        coder = tfxio.RecordBatchToExamplesEncoder(function[1].schema)
        batches, _ = data
        (
            batches
            | "Encode" >> beam.FlatMapTuple(lambda batch, _: coder.encode(batch))
            | beam.io.WriteToTFRecord(str(directory / "transformed"), file_name_suffix=".gz", shard_name_template="")
        )
        function | tft_beam.WriteTransformFn(str(directory / "graph"))
    return tft.TFTransformOutput(str(directory / "graph")), str(directory / "transformed.gz")
