"""Transform's real output on a few rows."""

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tfx_bsl.public import tfxio

from components.interaction_gen.records import to_examples
from pipeline import features
from pipeline.config import Transform
from pipeline.preprocessing import preprocessing_fn
from pipeline.schema import build_schema


def raw_row(user, movie, rating, timestamp, history=(), title="The Film (1999)", genres=("Drama",), **fields):
    return {
        "user_id": user,
        "movie_id": movie,
        "user_rating": rating,
        "timestamp": timestamp,
        "movie_title": title,
        "movie_genres": list(genres),
        "history_movie_id": [movie for movie, _ in history],
        "history_timestamp": [moment for _, moment in history],
        **fields,
    }


ROWS = [
    raw_row("a", "1", 5.0, 1_000, title="Star Wars (1977)", genres=["Action", "Sci-Fi"], raw_user_age=20.0),
    raw_row("a", "2", 3.0, 2_000, [("1", 1_000)], "Star Trek: Amélie", ["Sci-Fi"], raw_user_age=20.0),
    raw_row("b", "1", 4.0, 3_000, [("2", 2_940), ("9", 0)], "Star Wars (1977)", ["Action", "Sci-Fi"]),
    raw_row("c", "3", 2.0, 4_000, title="Alone", genres=[], raw_user_age=40.0),
]


@pytest.fixture(scope="session")
def raw_rows():
    return ROWS


@pytest.fixture(scope="session")
def transformed(tmp_path_factory):
    """Transform's graph and the file with its examples, made by TFT on Beam from `raw_rows`."""
    directory = tmp_path_factory.mktemp("transform")
    schema = build_schema(features.available(["raw_user_age"]))
    source = tfxio.TFExampleRecord(file_pattern=str(directory / "raw.gz"), schema=schema)
    with tf.io.TFRecordWriter(str(directory / "raw.gz"), "GZIP") as writer:
        for example in to_examples(ROWS):
            writer.write(example)
    config = {"transform": Transform(min_word_count=1, timestamp_buckets=2).model_dump_json()}
    with (
        tft_beam.Context(temp_dir=str(directory / "tmp")),
        beam.Pipeline() as pipeline,
    ):
        raw = (pipeline | source.BeamSource(), source.TensorAdapterConfig())
        data, function = raw | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, config), output_record_batches=True
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
