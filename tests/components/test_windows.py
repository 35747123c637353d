"""Spans that are read together, by the look before a run and by InteractionGen."""

import json

import pytest

from models.errors import UserError
from tests.components.shops import EVENTS, ROWS, csv, read, shop

THIRD = ROWS // 3


def deliveries(directory, spans):
    """A shop whose purchases come in spans, a third of them each, and its products in the first."""
    path = shop(directory)
    (directory / "events.csv").unlink()
    for number, span in enumerate(spans):
        (directory / span).mkdir()
        rows = {name: values[number * THIRD : (number + 1) * THIRD] for name, values in EVENTS.items()}
        (directory / span / "events.csv").write_text(csv(rows))
    (directory / "products.csv").rename(directory / spans[0] / "products.csv")
    config = json.loads(path.read_text())
    config["data"]["directory"] = str(directory / "{span}")
    path.write_text(json.dumps(config))
    return path


def test_a_window_of_spans_is_the_data_in_one(tmp_path):
    """The first span alone has the products."""
    (tmp_path / "spans").mkdir()
    (tmp_path / "whole").mkdir()
    path = deliveries(tmp_path / "spans", ["1", "2", "3"])
    apart = read(path, ("data.window=3",))
    together = read(shop(tmp_path / "whole"))
    assert apart == together | {"spans": ["1", "2", "3"]}


def test_a_shorter_window_leaves_the_older_spans_out(tmp_path):
    path = deliveries(tmp_path, ["1", "2", "3"])
    (tmp_path / "1" / "products.csv").rename(tmp_path / "2" / "products.csv")
    found = read(path, ("data.window=2",))
    assert (found["interactions"], found["spans"]) == (2 * THIRD, ["2", "3"])
    found = read(path, ("data.window=2", "data.span=2"))
    assert (found["interactions"], found["spans"]) == (2 * THIRD, ["1", "2"])


def test_what_two_spans_both_have_counts_once(tmp_path):
    path = deliveries(tmp_path, ["1", "2", "3"])
    (tmp_path / "3" / "events.csv").write_bytes((tmp_path / "2" / "events.csv").read_bytes())
    found = read(path, ("data.window=3",))
    assert found["tables"]["interactions"] | {"rejected": 0} == {
        "rows": 3 * THIRD, "accepted": 2 * THIRD, "merged": THIRD, "left_out": 0, "rejected": 0
    }  # fmt: skip


def test_a_missing_span_is_said_or_refused(tmp_path):
    path = deliveries(tmp_path, ["2026-11-01", "2026-11-02", "2026-11-04"])
    missing = "between 2026-11-02 and 2026-11-04"
    assert read(path, ("data.window=3",))["missing_spans"] == [missing]
    with pytest.raises(UserError, match=f"spans are missing {missing}, and data.missing_spans is stop"):
        read(path, ("data.window=3", "data.missing_spans=stop"))


@pytest.mark.parametrize("content", ["", "customer,sku,stars,time\n"])
def test_the_newest_span_has_to_hold_interactions(tmp_path, content):
    path = deliveries(tmp_path, ["1", "2", "3"])
    (tmp_path / "3" / "events.csv").write_text(content)
    with pytest.raises(UserError, match=r"3/events.csv has no rows: the newest span has to hold interactions"):
        read(path, ("data.window=3",))
    (tmp_path / "3" / "events.csv").unlink()
    with pytest.raises(UserError, match=r"3/events.csv: no such file, while other spans of the window have it"):
        read(path, ("data.window=3",))
