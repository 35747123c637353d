"""Transform's Beam jobs over InteractionGen's examples."""

from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tfx.types import artifact_utils, standard_artifacts

from components.transform.executor import Executor
from models import inputs
from models.features import names as f
from models.features.preprocessing import row_key
from models.features.schema import build_schema
from models.settings import Transform
from pipeline.beam_args import IN_PROCESS
from pipeline.config import load_config
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated
from pipeline.local.beam_workers import pool
from tests.components.test_example_gens import artifact, generate

FEATURES = load_config("demo").data.features(with_users=False)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """InteractionGen's examples."""
    directory = tmp_path_factory.mktemp("transform") / "tables"
    write_generated(Generated(users=50, items=60, interactions=1000), str(directory))
    generate(directory)
    return directory / "examples"


@pytest.fixture(scope="module")
def by_one(examples, tmp_path_factory):
    """What one worker makes of them."""
    return transform(examples, tmp_path_factory.mktemp("transform") / "one", IN_PROCESS)


def transform(examples, output, beam_args):
    """Runs the component; returns its files' rows by the files' names, in order."""
    output.mkdir()
    (output / "schema.pbtxt").write_text(text_format.MessageToString(build_schema(FEATURES.of_interactions())))
    (raw,) = artifact(standard_artifacts.Examples, examples)
    raw.split_names = artifact_utils.encode_split_names(["train", "eval"])
    (schema,) = artifact(standard_artifacts.Schema, output)
    outputs = {
        "transform_graph": artifact(standard_artifacts.TransformGraph, output / "graph"),
        "transformed_examples": artifact(standard_artifacts.Examples, output / "examples"),
    }
    Executor(Executor.Context(beam_pipeline_args=list(beam_args), tmp_dir=str(output))).Do(
        {"examples": [raw], "schema": [schema]},
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


def test_a_file_becomes_one_of_the_same_name_with_the_same_rows_in_order(examples, by_one):
    raw = records(examples)
    assert by_one.keys() == raw.keys() and len(raw) > 8
    for name, rows in raw.items():
        user, item, time = (
            [getattr(row.features.feature[key], kind).value[0] for row in rows]
            for key, kind in (("user_id", "bytes_list"), ("item_id", "bytes_list"), ("timestamp", "int64_list"))
        )
        keys = [row.features.feature[f.ROW_KEY].int64_list.value[0] for row in by_one[name]]
        assert keys == row_key(user, item, time).numpy().tolist(), name


def test_two_workers_write_the_same(examples, by_one, tmp_path):
    with pool(workers=2) as beam_args:
        assert transform(examples, tmp_path / "two", beam_args) == by_one
