"""An anomaly stops the run: the validator on statistics of a few examples, of which one does not fit the schema."""

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components.strict_example_validator.component import Executor
from models.errors import UserError
from models.features.feature_set import FeatureSet
from models.features.kinds import Category, Number, Tags, Text, Vector
from models.features.schema import build_schema
from tests.components.deliveries import made

FEATURES = FeatureSet(
    items={"title": Text(), "tags": Tags(), "image": Vector()},
    users={"age": Number()},
    context={"device": Category()},
)
SCHEMAS = {
    "users": build_schema(FEATURES.of_timelines(), FEATURES.of_interactions()),
    "items": build_schema(FEATURES.of_items()),
}
USER = {
    "user_id": ["a"],
    "age": [20.0],
    "overlap": [0],
    "item_id": ["1", "2"],
    "timestamp": [900, 1_000],
    "rating": [5.0, 4.0],
    "device": ["tv", ""],
}
ITEM = {"item_id": ["1"], "title": ["One"], "tags": ["Drama", "War"], "image": [0.5, 1.0]}


KINDS = {"BYTES": "bytes_list", "INT": "int64_list", "FLOAT": "float_list"}


def example(row):
    features = tf.train.Features()
    for name, values in row.items():
        kind = KINDS[(FEATURES.of_timelines() | FEATURES.of_items())[name].schema_type]
        encoded = [value.encode() if isinstance(value, str) else value for value in values]
        getattr(features.feature[name], kind).value.extend(encoded)
    return tf.train.Example(features=features).SerializeToString()


def validate(directory, schema, **splits):
    """Runs the executor on rows by split; returns where it writes."""
    for split, rows in splits.items():
        batch = ExamplesToRecordBatchDecoder().DecodeBatch([example(row) for row in rows])
        path = directory / "statistics" / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(generate_statistics_in_memory(batch, tfdv.StatsOptions()).SerializeToString())
    (directory / "schema").mkdir()
    (directory / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    (statistics,) = made(standard_artifacts.ExampleStatistics, directory / "statistics")
    statistics.split_names = artifact_utils.encode_split_names([*splits])
    inputs = {"statistics": [statistics], "schema": made(standard_artifacts.Schema, directory / "schema")}
    outputs = {"anomalies": made(standard_artifacts.ExampleAnomalies, directory / "anomalies")}
    Executor().Do(inputs, outputs, {"fingerprint": "code"})
    return directory / "anomalies"


def without(row, name):
    return {key: value for key, value in row.items() if key != name}


@pytest.mark.parametrize(
    ("table", "splits", "rows"),
    [
        ("users", ("train", "eval"), [USER, without(USER, "age"), USER | {"user_id": ["b"], "overlap": [1]}]),
        ("items", ("items",), [ITEM, {"item_id": ["2"]}, ITEM | {"item_id": ["3"], "tags": [], "image": []}]),
    ],
)
def test_rows_that_fit_the_schema_pass_and_the_report_has_no_anomaly(tmp_path, table, splits, rows):
    anomalies = validate(tmp_path, SCHEMAS[table], **dict.fromkeys(splits, rows))
    for split in splits:
        content = (anomalies / f"Split-{split}" / "SchemaDiff.pb").read_bytes()
        report = anomalies_pb2.Anomalies.FromString(content)
        assert not report.anomaly_info and not report.HasField("dataset_anomaly_info")


FEWER = "The feature was present in fewer examples than expected"


@pytest.mark.parametrize(
    ("wrong", "feature", "anomaly"),
    [
        (without(USER, "user_id"), "user_id", FEWER),
        (without(USER, "rating"), "rating", FEWER),
        (without(USER, "device"), "device", FEWER),
        (USER | {"timestamp": [900, 0]}, "timestamp", "Unexpectedly small value: 0."),
        (USER | {"age": [20.0, 30.0]}, "age", "Some examples have more values than expected"),
    ],
)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_one_wrong_row_in_either_split_stops_the_run_and_is_named(tmp_path, split, wrong, feature, anomaly):
    rows = {"train": [USER, USER], "eval": [USER, USER]} | {split: [USER, wrong]}
    with pytest.raises(UserError) as stopped:
        validate(tmp_path, SCHEMAS["users"], **rows)
    message = str(stopped.value)
    assert message.startswith(f"the data does not fit the schema. {split}: {feature}: ")
    assert anomaly in message


def test_all_anomalies_of_both_splits_are_named(tmp_path):
    train = [without(USER, "item_id"), USER | {"timestamp": [0, 1]}]
    with pytest.raises(UserError) as stopped:
        validate(tmp_path, SCHEMAS["users"], train=train, eval=[without(USER, "overlap"), USER])
    for name in ("train: item_id: ", "train: timestamp: ", "eval: overlap: "):
        assert name in str(stopped.value)


@pytest.mark.parametrize(
    ("wrong", "feature"), [(without(ITEM, "item_id"), "item_id"), (ITEM | {"title": ["One", "Two"]}, "title")]
)
def test_one_wrong_item_stops_the_run_and_is_named(tmp_path, wrong, feature):
    with pytest.raises(UserError, match=f"the data does not fit the schema. items: {feature}: "):
        validate(tmp_path, SCHEMAS["items"], items=[ITEM, wrong])
