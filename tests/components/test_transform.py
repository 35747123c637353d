"""Transform's Beam jobs over InteractionGen's and ItemGen's examples."""

import collections
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_transform as tft
from google.protobuf import text_format
from tfx.types import artifact_utils, standard_artifacts

from components.beam_args import IN_PROCESS
from components.interaction_gen import timelines
from components.transform.executor import Executor
from models import inputs
from models.features.schema import build_schema
from models.settings import Transform
from pipeline.config import load_config
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated
from pipeline.local.beam_workers import pool
from tests.components.deliveries import made
from tests.components.generating import generate, generate_items

FEATURES = load_config("demo").features(with_users=False)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Where InteractionGen's and ItemGen's examples are; long timelines are cut."""
    directory = tmp_path_factory.mktemp("transform") / "tables"
    write_generated(Generated(users=50, items=60, interactions=1000), str(directory))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(timelines, "LONGEST", 15)
        generate(directory, **{"split.history_length": 10})
    generate_items(directory)
    return directory


@pytest.fixture(scope="module")
def by_one(tables, tmp_path_factory):
    """Where one worker's output is, and its files."""
    output = tmp_path_factory.mktemp("transform") / "one"
    return output, transform(tables, output, IN_PROCESS)


def transform(tables, output, beam_args):
    """Runs the component; returns its files' rows by the files' names, in order."""
    schemas = {
        "schema": build_schema(FEATURES.of_timelines(), FEATURES.of_interactions()),
        "item_schema": build_schema(FEATURES.of_items()),
    }
    given = {}
    for name, schema in schemas.items():
        (output / name).mkdir(parents=True)
        (output / name / "schema.pbtxt").write_text(text_format.MessageToString(schema))
        given[name] = made(standard_artifacts.Schema, output / name)
    for name, place, splits in (("examples", "examples", ["train", "eval"]), ("items", "catalogue", ["items"])):
        given[name] = made(standard_artifacts.Examples, tables / place)
        given[name][0].split_names = artifact_utils.encode_split_names(splits)
    outputs = {
        "transform_graph": made(standard_artifacts.TransformGraph, output / "graph"),
        "transformed_examples": made(standard_artifacts.Examples, output / "examples"),
    }
    Executor(Executor.Context(beam_pipeline_args=list(beam_args), tmp_dir=str(output))).Do(
        given,
        outputs,
        {"settings": Transform().model_dump_json(), "features": FEATURES.model_dump_json()},
    )
    assert artifact_utils.decode_split_names(outputs["transformed_examples"][0].split_names) == ["train", "eval"]
    return records(output / "examples")


def records(directory: Path):
    return {
        str(path.relative_to(directory)): [*map(tf.train.Example.FromString, inputs.read_records([str(path)]))]
        for path in sorted(directory.rglob("*.gz"))
    }


def values(example, name):
    feature = example.features.feature[name]
    return list(getattr(feature, feature.WhichOneof("kind")).value)


def indices(vocabulary, tokens):
    return [vocabulary.index(token) if token in vocabulary else len(vocabulary) for token in tokens]


def test_a_file_becomes_one_of_the_same_name_with_the_same_rows_in_order(tables, by_one):
    output, transformed = by_one
    graph = tft.TFTransformOutput(str(output / "graph"))
    items, users = (graph.vocabulary_by_name(name) for name in ("item_id", "user_id"))
    raw = records(tables / "examples")
    assert transformed.keys() == raw.keys() and len(raw) > 8
    for file, rows in raw.items():
        assert len(transformed[file]) == len(rows)
        for before, after in zip(rows, transformed[file], strict=True):
            for name in ("timestamp", "rating", "overlap"):
                assert values(after, name) == values(before, name)
            assert values(after, "positive") == [float(rating >= 4) for rating in values(before, "rating")]
            assert values(after, "item_id") == indices(items, values(before, "item_id"))
            assert values(after, "user_id") == indices(users, values(before, "user_id"))
            if file.startswith("Split-eval"):
                assert values(after, "item_key") == values(before, "item_id")
            else:
                assert "item_key" not in after.features.feature


def test_vocabularies_are_of_train_and_of_items_and_count_repeated_entries_once(tables, by_one):
    rows = [row for file, rows in records(tables / "examples").items() if "train" in file for row in rows]
    assert {values(row, "overlap")[0] for row in rows} == {0, 10}
    counts = collections.Counter(item for row in rows for item in values(row, "item_id")[values(row, "overlap")[0] :])
    graph = tft.TFTransformOutput(str(by_one[0] / "graph"))
    in_order = [counts[item] for item in graph.vocabulary_by_name("item_id")]
    assert len(in_order) == len(counts) and in_order == sorted(counts.values(), reverse=True)
    catalogue = [row for rows in records(tables / "catalogue").values() for row in rows]
    genres = collections.Counter(genre for row in catalogue for genre in values(row, "genres"))
    vocabulary = graph.vocabulary_by_name("genres")
    assert [genres[genre] for genre in vocabulary] == sorted(genres.values(), reverse=True)


def test_two_workers_write_the_same(tables, by_one, tmp_path):
    with pool(workers=2) as beam_args:
        assert transform(tables, tmp_path / "two", beam_args) == by_one[1]
