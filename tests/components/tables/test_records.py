"""Rows to examples: which row of a key counts, which vectors, and what a missing value is."""

import pyarrow as pa
import tensorflow as tf

from components.tables import records
from components.tables.causes import MERGED, REJECTED
from components.tables.records import ACCEPTED, LEFT_OUT, PRESENT


def test_the_first_row_of_a_key_counts_by_its_place_in_the_source_and_the_others_are_told():
    places = {"file": [1, 0, 0, 0, 1], "line": [1, 9, 3, 4, 2]}
    table = pa.table({"item_id": ["b", "a", "b", "a", "é"], "title": ["late", "9", "3", "4", "only"], **places})
    first, became = records.merge(table, "item_id", "items", ["x.csv", "y.csv"], MERGED)
    assert first.select(["item_id", "title"]).to_pydict() == {"item_id": ["a", "b", "é"], "title": ["4", "3", "only"]}
    accepted, merged, *unused = (one.value for one in became)
    assert (accepted, merged) == (((ACCEPTED, "items"), 3), ((MERGED, "items"), 2))
    assert [(row.outcome, row.file, row.line, row.reason, row.row) for row in unused] == [
        (MERGED, "x.csv", 9, "repeats line 4", "a,9"),
        (MERGED, "y.csv", 1, "repeats line 3 of x.csv", "b,late"),
    ]
    first, became = records.merge(table, "item_id", "items", ["x.csv", "y.csv"], REJECTED)
    assert [one.value[0] for one in became][:1] == [(ACCEPTED, "items")] and len(first) == 3
    first, became = records.merge(table.slice(0, 0), "item_id", "items", [], MERGED)
    assert [one.value for one in became] == [((ACCEPTED, "items"), 0), ((MERGED, "items"), 0)] and not len(first)


def test_vectors_have_the_length_that_most_have_and_others_are_missing():
    counts = {
        (PRESENT, "items.image/3"): 2,
        (PRESENT, "items.image/2"): 5,
        (PRESENT, "users.image/4"): 9,
        (PRESENT, "items.brand"): 7,
        (LEFT_OUT, "items.image/9"): 99,
    }
    assert records.vector_lengths(counts, "items") == {"image": 2}
    assert records.vector_lengths({(PRESENT, "items.v/1"): 4, (PRESENT, "items.v/2"): 4}, "items") == {"v": 2}
    vectors = pa.chunked_array([[[1.0, 2.0], [1.0], None], [[], [3.0, 4.0]]], pa.list_(pa.float32()))
    fitting = records.feature_columns(pa.table({"image": vectors}), ["image"], {"image": 2})["image"]
    assert fitting.to_pylist() == [[1.0, 2.0], None, None, None, [3.0, 4.0]]


def test_an_example_has_what_its_row_has():
    columns = {
        "user_id": pa.array(["é", "b"]),
        "age": pa.array([None, 20.5], pa.float32()),
        "tags": pa.array([["x", "y"], []], pa.list_(pa.string())),
        "timestamp": pa.array([[1, 2], [3]], pa.list_(pa.int64())),
        "nobody_has": pa.array([None, None], pa.string()),
        "image": pa.array([None, [0.5, 1.5]], pa.list_(pa.float32())),
    }
    first, second = map(tf.train.Example.FromString, records.to_examples(columns))

    def values(example):
        features = example.features.feature
        kinds = {name: value.WhichOneof("kind") for name, value in features.items()}
        return {name: list(getattr(features[name], kind).value) for name, kind in kinds.items() if kind}

    assert values(first) == {"user_id": ["é".encode()], "tags": [b"x", b"y"], "timestamp": [1, 2]}
    assert values(second) == {"user_id": [b"b"], "age": [20.5], "tags": [], "timestamp": [3], "image": [0.5, 1.5]}


def test_a_rejected_row_is_one_line_of_csv():
    assert records.to_csv_line(("a.csv", 7, "why, then", 'a "b"')) == 'a.csv,7,"why, then","a ""b"""'
