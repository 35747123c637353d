"""Examples on the disk to timelines."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.interaction_gen import timelines as written
from components.tables.records import to_examples
from models import timelines
from models.features.feature_set import FeatureSet, Histories
from models.features.kinds import Category, Number, Tags, Vector
from models.queries import Queries
from models.timelines import Column, Layout, raw_layout, read_timelines
from tests.models.conftest import write_timelines

FEATURES = FeatureSet(
    users={"age": Number(), "clubs": Tags(), "city": Category(), "face": Vector()}, context={"device": Category()}
)
USERS = [
    {
        "user_id": "g",
        "age": 20.0,
        "clubs": ["a", "b"],
        "city": "Rome",
        "face": [1.0, 2.0],
        "rows": [("x", 1, 5.0, "tv"), ("y", 2, 3.0, "")],
    },
    {"user_id": "h", "clubs": [], "rows": [("z", 7, 1.0, "phone")]},
    {"user_id": "i", "clubs": ["c"], "face": [3.0, 4.0], "rows": [("x", 3, 2.0, "")]},
]


@pytest.fixture
def read(tmp_path):
    """Writes files of timelines and reads them."""

    def write_and_read(*files):
        for number, users in enumerate(files):
            write_timelines(tmp_path / f"{number}.gz", users, FEATURES)
        return read_timelines([f"{tmp_path}/*.gz"], raw_layout(FEATURES))

    return write_and_read


def assert_same(first, second):
    np.testing.assert_array_equal(first.starts, second.starts)
    for part in ("users", "rows"):
        mine, theirs = getattr(first, part), getattr(second, part)
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name], name)


def test_examples_are_read_as_they_were_written(read):
    found = read(USERS)
    assert len(found) == 4 and found.starts.tolist() == [0, 2, 3, 4]
    assert found.user_of_rows().tolist() == [0, 0, 1, 2]
    assert found.rows["item_id"].tolist() == [b"x", b"y", b"z", b"x"]
    assert found.rows["timestamp"].tolist() == [1, 2, 7, 3]
    assert found.rows["rating"].tolist() == [5, 3, 1, 2]
    assert found.rows["device"].tolist() == [b"tv", b"", b"phone", b""]
    assert found.users["user_id"].tolist() == [b"g", b"h", b"i"]


def test_what_a_user_does_not_have_is_missing_and_lists_are_filled_up(read):
    users = read(USERS).users
    np.testing.assert_array_equal(users["age"], np.array([20, np.nan, np.nan], np.float32))
    assert users["city"].tolist() == [b"Rome", b"", b""]
    assert users["clubs"].tolist() == [[b"a", b"b"], [b"", b""], [b"c", b""]]
    np.testing.assert_array_equal(users["face"], np.array([[1, 2], [np.nan] * 2, [3, 4]], np.float32))


def test_files_are_read_in_the_order_of_their_names_whatever_the_length_of_their_lists(read):
    assert_same(read(USERS[1:2], USERS[:1], USERS[2:]), read([USERS[1], USERS[0], USERS[2]], [], []))


def test_users_are_read_alike_in_batches_and_at_once(read, monkeypatch):
    whole = read(USERS)
    monkeypatch.setattr(timelines, "_EXAMPLES", 1)
    assert_same(read(USERS), whole)


def test_where_there_is_no_file_or_no_example_there_is_no_user(read, tmp_path):
    for found in (read(), read([])):
        assert len(found) == 0 and found.starts.tolist() == [0]
        assert found.rows["item_id"].tolist() == [] and found.rows["item_id"].dtype == object
        assert len(found.users["age"]) == len(found.users["clubs"]) == 0


def test_a_layout_reads_what_it_names_only(read, tmp_path):
    read(USERS)
    found = read_timelines([f"{tmp_path}/*.gz"], Layout({}, {"rating": Column(tf.float32, 0.0)}))
    assert len(found) == 4 and found.rows.keys() == {"rating"} and not found.users


@pytest.mark.parametrize("longest", [4, 5, 100])
@pytest.mark.parametrize("batch", [1, 2, 1024])
def test_long_timelines_cut_into_examples_are_read_back_whole(tmp_path, monkeypatch, longest, batch):
    monkeypatch.setattr(written, "LONGEST", longest)
    monkeypatch.setattr(timelines, "_EXAMPLES", batch)
    features, length = FeatureSet(rated=False, histories=Histories(length=3)), 3
    counts = {"g": 11, "h": 1, "i": longest, "j": longest + 1}
    users = np.repeat([*counts], [*counts.values()])
    times = np.concatenate([np.arange(1, count + 1) for count in counts.values()])
    items = [f"{user}{time}" for user, time in zip(users, times, strict=True)]
    table = pa.table(
        {"user_id": users, "item_id": items, "timestamp": times, "file": np.zeros(len(times), int), "line": times}
    )
    columns, user = written.examples(written.order(table), features.of_interactions(), length)
    columns["user_id"] = pa.array([*counts]).take(pa.array(user))
    with tf.io.TFRecordWriter(str(tmp_path / "long.gz"), "GZIP") as writer:
        for example in to_examples(columns):
            writer.write(example)
    if longest < 11:
        assert len(user) > len(counts) and max(map(len, columns["item_id"].to_pylist())) <= longest
    found = read_timelines([str(tmp_path / "long.gz")], raw_layout(features))
    assert found.users["user_id"].tolist() == [user.encode() for user in counts]
    assert np.diff(found.starts).tolist() == [*counts.values()]
    assert found.rows["item_id"].tolist() == [item.encode() for item in items]
    assert found.rows["timestamp"].tolist() == times.tolist()
    batch = Queries(found, features.histories).at(tf.constant([10], tf.int64))
    assert batch["history_item_id"].numpy().tolist() == [[b"g10", b"g9", b"g8"]]


def test_transformed_timelines_have_indices_that_padding_is_none_of(data):
    assert data.train.starts.tolist() == [0, 2, 4, 6]
    assert data.train.users["clubs"].tolist()[1] == [-1, -1]
    assert data.train.rows.keys() == {"item_id", "timestamp", "moment", "device", "volume", "rating", "positive"}
    assert data.eval.asked.rows.keys() - data.train.rows.keys() == {"item_key"}
