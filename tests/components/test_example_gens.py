"""Both ExampleGens and the validator, run for real on a few rows."""

import csv
import json
import os

import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.artifacts import DataSummary, read_summary
from components.interaction_gen import executor as interaction_gen
from components.item_gen import executor as item_gen
from models.errors import UserError
from pipeline.beam_args import IN_PROCESS
from pipeline.config import load_config
from pipeline.data.checks import features

ITEMS = 'movieId,title,genres\n1,"One, The (1999)",Drama|War\n2,Two,(no genres listed)\n2,Twice,Drama\n3,Three,War\n'
RATINGS = [f"a,{item},4,{100 * item}" for item in (1, 2, 3)] + [f"b,{item},3,{50 * item}" for item in (1, 2, 3)]


def write(directory, ratings):
    (directory / "movies.csv").write_text(ITEMS)
    (directory / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *ratings]) + "\n")


def artifact(kind, path):
    made = kind()
    made.uri = str(path)
    return [made]


def generate(directory, beam_args=None, **overrides):
    config = load_config("movielens-csv", [f"{k}={v}" for k, v in overrides.items()], data__directory=str(directory))
    outputs = {
        "examples": artifact(standard_artifacts.Examples, directory / "examples"),
        "summary": artifact(DataSummary, directory / "summary"),
    }
    context = interaction_gen.Executor.Context(beam_pipeline_args=beam_args or list(IN_PROCESS))
    interaction_gen.Executor(context).Do(
        {},
        outputs,
        {
            "data": config.data.layout().model_dump_json(),
            "features": features(config).model_dump_json(),
            "split": config.split.model_dump_json(),
            "directory": str(directory),
            "span": "latest",
            "fingerprint": "rows",
            "rejected_rows_dir": str(directory / "rejected"),
        },
    )
    return {split: read(directory / "examples" / f"Split-{split}") for split in ("train", "eval")}


def read(directory):
    files = tf.io.gfile.glob(os.path.join(str(directory), "*"))
    rows = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        row = {name: list(getattr(value, value.WhichOneof("kind")).value) for name, value in features.items()}
        rows.append(row)
    return sorted(rows, key=lambda row: (row["user_id"], row["timestamp"]))


def test_examples_hold_the_joined_item_and_the_history(tmp_path):
    write(tmp_path, RATINGS)
    splits = generate(tmp_path)
    assert [(row["user_id"], row["item_id"]) for row in splits["eval"]] == [([b"a"], [b"3"]), ([b"b"], [b"3"])]
    second = splits["train"][1]
    assert second["item_id"] == [b"2"]
    assert (second["history_item_id"], second["history_timestamp"]) == ([b"1"], [100])
    first = splits["train"][0]
    assert (first["title"], first["genres"]) == ([b"One, The (1999)"], [b"Drama", b"War"])
    assert first["history_item_id"] == []
    held_out = splits["eval"][0]
    assert (held_out["history_item_id"], held_out["history_timestamp"]) == ([b"2", b"1"], [200, 100])


def test_users_features_join_their_rows(tmp_path):
    write(tmp_path, RATINGS)
    (tmp_path / "users.csv").write_text("id,age,gender\nb,40,\na,20,F\nz,1,M\n")
    users = "{file: users.csv, columns: {user_id: id}, features: {age: {kind: number}, gender: {kind: category}}}"
    splits = generate(tmp_path, **{"data.users": users})
    rows = [row for split in splits.values() for row in split]
    found = {(*row["user_id"], *row["age"], *row.get("gender", [])) for row in rows}
    assert found == {(b"a", 20.0, b"F"), (b"b", 40.0)}


def test_values_that_cannot_be_read_are_counted_by_feature(tmp_path):
    write(tmp_path, RATINGS)
    (tmp_path / "users.csv").write_text("id,age\nb,old\na,20\nz,1e39\n")
    generate(tmp_path, **{"data.users": "{file: users.csv, columns: {user_id: id}, features: {age: {kind: number}}}"})
    assert read_summary(str(tmp_path / "summary"))["unreadable"] == {"users.age": 2}


def test_bad_rows_are_listed_and_counted(tmp_path):
    bad = ["a,1,4,100", "a,9,4,500", "a,1,good,600", "a,1,4,soon", "a,1", ",1,4,700"]
    write(tmp_path, RATINGS + bad)
    splits = generate(tmp_path, **{"data.max_rejected_share": 0.9})
    assert sum(map(len, splits.values())) == len(RATINGS)
    with (tmp_path / "rejected" / "rows.csv").open() as file:
        rows = [(int(row["line"]), row["reason"]) for row in csv.DictReader(file)]
    assert rows == [
        (8, "duplicate of line 2"),
        (9, "item '9' is not in the catalogue"),
        (10, "rating 'good' is not a number"),
        (11, "timestamp 'soon' is not a number"),
        (12, "2 fields instead of 4"),
        (13, "missing user_id"),
    ]
    summary = json.loads((tmp_path / "summary" / "summary.json").read_text())
    counted = {name: summary[name] for name in ("interactions", "users", "items", "rejected_rows")}
    assert counted == {"interactions": 6, "users": 2, "items": 3, "rejected_rows": 6}


def test_too_many_bad_rows_stop_the_run_and_leave_the_list(tmp_path):
    write(tmp_path, [*RATINGS, "a,1,good,600"])
    with pytest.raises(
        UserError, match=r"1 rows were rejected and 6 .*1.00%: ratings.csv, line 8: rating 'good'.*rows.csv"
    ):
        generate(tmp_path)
    assert "good" in (tmp_path / "rejected" / "rows.csv").read_text()


def test_bad_rows_of_the_catalogue_are_listed_before_what_follows_from_them(tmp_path):
    write(tmp_path, RATINGS)
    (tmp_path / "movies.csv").write_text(ITEMS + "4,Unquoted, The,Drama\n")
    with (tmp_path / "ratings.csv").open("a") as file:
        file.write("a,4,5,600\n")
    generate(tmp_path, **{"data.max_rejected_share": 0.9})
    with (tmp_path / "rejected" / "rows.csv").open() as file:
        rows = [(os.path.basename(row["file"]), row["reason"]) for row in csv.DictReader(file)]
    assert rows == [("movies.csv", "4 fields instead of 3"), ("ratings.csv", "item '4' is not in the catalogue")]


def test_a_long_list_of_bad_rows_is_cut_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(interaction_gen, "_MOST_LISTED", 2)
    write(tmp_path, RATINGS + ["a,1,good,600"] * 5)
    generate(tmp_path, **{"data.max_rejected_share": 0.9})
    assert len((tmp_path / "rejected" / "rows.csv").read_text().splitlines()) == 1 + 2
    assert json.loads((tmp_path / "summary" / "summary.json").read_text())["rejected_rows"] == 5


def test_a_delivery_without_any_readable_row(tmp_path):
    write(tmp_path, ["a,1,good,600"])
    with pytest.raises(UserError, match=r"1 rows were rejected and 0 interactions accepted.*'good' is not a number"):
        generate(tmp_path)


def test_a_split_without_eval_rows_is_an_error(tmp_path):
    write(tmp_path, RATINGS)
    with pytest.raises(UserError, match="leaves no eval interactions of 6"):
        generate(tmp_path, **{"split.eval_share": 0.01})


def test_global_temporal_split_has_only_the_past_in_train(tmp_path):
    write(tmp_path, [f"u{n % 5},{n % 3 + 1},3,{3600 * n + 1}" for n in range(20)])
    splits = generate(tmp_path, **{"split.kind": "global_temporal"})
    latest_train = max(row["timestamp"][0] for row in splits["train"])
    assert len(splits["eval"]) == 4
    assert all(row["timestamp"][0] > latest_train for row in splits["eval"])
    assert all(time <= latest_train for row in splits["eval"] for time in row["history_timestamp"])


def catalogue(directory, span, output):
    """The titles by item id that ItemGen writes after InteractionGen read `span`."""
    config = load_config("movielens-csv", data__directory=directory)
    (output / "summary").mkdir(parents=True)
    (output / "summary" / "summary.json").write_text(json.dumps({"span": span}))
    outputs = {"examples": artifact(standard_artifacts.Examples, output / "catalogue")}
    context = item_gen.Executor.Context(beam_pipeline_args=list(IN_PROCESS))
    properties = {
        "data": config.data.layout().model_dump_json(),
        "features": config.data.features(with_users=False).model_dump_json(),
        "directory": directory,
    }
    item_gen.Executor(context).Do({"summary": artifact(DataSummary, output / "summary")}, outputs, properties)
    files = tf.io.gfile.glob(str(output / "catalogue" / "Split-items" / "*"))
    records = tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator()
    examples = [tf.train.Example.FromString(record).features.feature for record in records]
    return {e["item_id"].bytes_list.value[0]: e["title"].bytes_list.value[0] for e in examples}


def test_the_catalogue_holds_every_item_once_rated_or_not(tmp_path):
    write(tmp_path, RATINGS)
    titles = catalogue(str(tmp_path), "", tmp_path)
    assert titles == {b"1": b"One, The (1999)", b"2": b"Two", b"3": b"Three"}


def test_the_catalogue_is_that_of_the_interactions_span_also_when_a_later_one_has_come(tmp_path):
    for span in ("1", "2"):
        (tmp_path / span).mkdir()
        write(tmp_path / span, RATINGS)
    (tmp_path / "2" / "movies.csv").write_text("movieId,title,genres\n9,Later,Drama\n")
    assert b"9" not in catalogue(str(tmp_path / "{span}"), "1", tmp_path)
