"""Rows of the same key, of which one is left."""

import pyarrow as pa
import pytest

from components.tables.causes import MERGED
from components.tables.parsing import FILE, LINE
from components.tables.records import merge

ROWS = pa.table(
    {
        "item_id": ["b", "a", "a", "a", "a", "b", "c"],
        "title": ["", "mailout", "Lamp", "Lamp", "", "Cup", ""],
        "price": pa.array([None, 9.0, 2.0, 2.0, None, 1.5, None], pa.float32()),
        "brand": pa.array(["x", "y", "z", None, None, "w", None], pa.string()),
        "tags": [["old"], ["p"], ["q"], ["q"], ["q"], ["new"], []],
        FILE: pa.array([1, 0, 0, 1, 1, 1, 1], pa.int32()),
        LINE: [1, 2, 3, 4, 5, 6, 7],
    }
)


@pytest.mark.parametrize("by_interactions", [False, True])
def test_the_first_row_counts_or_what_most_of_the_interactions_say(by_interactions):
    merged, became = merge(ROWS, "item_id", "items", ["0.csv", "1.csv"], MERGED, by_interactions)
    assert merged["item_id"].to_pylist() == ["a", "b", "c"]
    first = {"title": ["mailout", "", ""], "price": [9.0, None, None], "brand": ["y", "x", None]}
    most = {"title": ["Lamp", "Cup", ""], "price": [2.0, 1.5, None], "brand": ["y", "x", None]}
    assert {name: merged[name].to_pylist() for name in first} == (most if by_interactions else first)
    assert merged["tags"].to_pylist() == [["p"], ["old"], []] and merged.schema == ROWS.schema
    counts = dict(one.value for one in became if one.tag == "counts")
    assert counts == {("accepted", "items"): 3, ("merged", "items"): 4}
