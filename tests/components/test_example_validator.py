"""An anomaly stops the run: the validator on statistics of a few rows, of which one does not fit the schema."""

import pytest
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components.strict_example_validator.component import Executor
from components.tables.records import to_examples
from models.errors import UserError
from models.features.feature_set import FeatureSet
from models.features.kinds import Number, Tags, Text
from models.features.schema import build_schema
from tests.components.test_example_gens import artifact

FEATURES = FeatureSet(items={"title": Text(), "tags": Tags()}, users={"age": Number()}).of_interactions()
ROW = {
    "user_id": "a",
    "item_id": "1",
    "rating": 5.0,
    "timestamp": 1_000,
    "title": "One",
    "tags": ["Drama"],
    "history_item_id": ["2"],
    "history_timestamp": [900],
    "age": 20.0,
}


def validate(directory, train, evaluated):
    """Runs the executor on rows; returns where it writes."""
    schema = build_schema(FEATURES)
    for split, rows in (("train", train), ("eval", evaluated)):
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(list(to_examples(rows, FEATURES)))
        path = directory / "statistics" / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(generate_statistics_in_memory(batch, tfdv.StatsOptions()).SerializeToString())
    (directory / "schema").mkdir()
    (directory / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(schema))
    (statistics,) = artifact(standard_artifacts.ExampleStatistics, directory / "statistics")
    statistics.split_names = artifact_utils.encode_split_names(["train", "eval"])
    inputs = {"statistics": [statistics], "schema": artifact(standard_artifacts.Schema, directory / "schema")}
    outputs = {"anomalies": artifact(standard_artifacts.ExampleAnomalies, directory / "anomalies")}
    Executor().Do(inputs, outputs, {"fingerprint": "code"})
    return directory / "anomalies"


def without(name):
    return {key: value for key, value in ROW.items() if key != name}


def test_rows_that_fit_the_schema_pass_and_the_report_has_no_anomaly(tmp_path):
    rows = [ROW, ROW | {"user_id": "b", "tags": [], "history_item_id": [], "history_timestamp": []}, without("age")]
    anomalies = validate(tmp_path, rows, rows)
    for split in ("train", "eval"):
        content = (anomalies / f"Split-{split}" / "SchemaDiff.pb").read_bytes()
        report = anomalies_pb2.Anomalies.FromString(content)
        assert not report.anomaly_info and not report.HasField("dataset_anomaly_info")


@pytest.mark.parametrize(
    ("wrong", "feature", "anomaly"),
    [
        (without("rating"), "rating", "The feature was present in fewer examples than expected"),
        (ROW | {"timestamp": 0}, "timestamp", "Unexpectedly small value: 0."),
        (ROW | {"history_timestamp": [900, -5]}, "history_timestamp", "Unexpectedly small value: -5."),
        (ROW | {"age": [20.0, 30.0]}, "age", "Some examples have more values than expected"),
    ],
)
@pytest.mark.parametrize("split", ["train", "eval"])
def test_one_wrong_row_in_either_split_stops_the_run_and_is_named(tmp_path, split, wrong, feature, anomaly):
    rows = {"train": [ROW, ROW], "eval": [ROW, ROW]} | {split: [ROW, wrong]}
    with pytest.raises(UserError) as stopped:
        validate(tmp_path, rows["train"], rows["eval"])
    message = str(stopped.value)
    assert message.startswith(f"the data does not fit the schema. {split}: {feature}: ")
    assert anomaly in message


def test_all_anomalies_of_both_splits_are_named(tmp_path):
    with pytest.raises(UserError) as stopped:
        validate(tmp_path, [without("item_id"), ROW | {"timestamp": 0}], [without("title"), ROW])
    for name in ("train: item_id: ", "train: timestamp: ", "eval: title: "):
        assert name in str(stopped.value)
