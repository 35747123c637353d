"""What the nights of a backtest are made of, and what is asked about the day after."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from rich.console import Console

from models.errors import UserError
from models.features.feature_set import FeatureSet, Histories
from pipeline.backtest import command, days
from pipeline.backtest.asking import Log
from pipeline.config import load_config
from tests.components.shops import EVENTS, ROWS, csv, shop

DAY, FIRST = 86_400, EVENTS["time"][0] // 86_400


@pytest.fixture
def config(tmp_path):
    """A purchase a day for 150 days."""
    return load_config(str(shop(tmp_path, interactions={"positive": 4})))


def test_interactions_are_cut_into_days(config, tmp_path):
    nights, rows = days.of_days(config, 3, str(tmp_path / "spans"))
    assert len(rows) == ROWS
    names = ["2021-02-06", "2021-02-07", "2021-02-08"]
    assert [night.name for night in nights] == names
    for place, night in enumerate(nights):
        assert night.begins == (FIRST + ROWS - 3 + place) * DAY and night.ends == night.begins + DAY
        read = days.read_interactions(night.config)
        assert len(read) == ROWS - 3 + place, "all that there was until then"
        assert (
            read["rating"].to_pylist()
            == rows.filter(pa.array(rows["timestamp"].to_numpy() < night.begins))["rating"].to_pylist()
        )
        assert night.config.data.interactions.positive == 4
        assert night.config.data.deliveries().spans == tuple(names[: place + 1])
        (products,) = night.config.data.deliveries().files(night.config.data.items, night.config.data)
        assert products.endswith("products.csv")


def test_spans_are_taken_as_they_came(config, tmp_path):
    whole = tmp_path / "events.csv"
    for place in range(4):
        (tmp_path / f"day-{place}").mkdir()
        rows = {name: values[place * 30 : (place + 1) * 30] for name, values in EVENTS.items()}
        (tmp_path / f"day-{place}" / "events.csv").write_text(csv(rows))
        (tmp_path / f"day-{place}" / "products.csv").write_bytes((tmp_path / "products.csv").read_bytes())
    whole.unlink()
    config.data.directory, config.data.window = str(tmp_path / "day-{span}"), 2
    nights, rows = days.of_spans(config, 2)
    assert len(rows) == 120
    assert [(night.name, night.config.data.deliveries().spans) for night in nights] == [
        ("1", ("0", "1")),
        ("2", ("1", "2")),
    ]
    assert (nights[0].begins, nights[0].ends) == (EVENTS["time"][59] + 1, EVENTS["time"][89] + 1)
    with pytest.raises(UserError, match="--spans 4 needs one more than that; there are 4"):
        days.of_spans(config, 4)


def test_of_deliveries_that_hold_everything_what_is_later_comes_next(config, tmp_path):
    for place in range(3):
        (tmp_path / f"day-{place}").mkdir()
        rows = {name: values[: 100 + 10 * place] for name, values in EVENTS.items()}
        (tmp_path / f"day-{place}" / "events.csv").write_text(csv(rows))
    config.data.directory = str(tmp_path / "day-{span}")
    nights, rows = days.of_spans(config, 2)
    assert len(rows) == 120
    assert [(night.begins, night.ends) for night in nights] == [
        (EVENTS["time"][99] + 1, EVENTS["time"][109] + 1),
        (EVENTS["time"][109] + 1, EVENTS["time"][119] + 1),
    ]


def test_a_row_that_two_deliveries_hold_counts_once(config, tmp_path):
    (tmp_path / "more").mkdir()
    for part in ("a", "b"):
        (tmp_path / "more" / f"{part}.csv").write_bytes((tmp_path / "events.csv").read_bytes())
    config.data.interactions.file = "more/*.csv"
    assert len(days.read_interactions(config)) == ROWS


def test_too_few_days_are_an_error(config, tmp_path):
    with pytest.raises(UserError, match=f"--spans {ROWS} needs {ROWS + 2} days; there are {ROWS}"):
        days.of_days(config, ROWS, str(tmp_path / "spans"))


def log(repeats):
    """Three users; day 0 belongs to b, and then all want a."""
    rows = pa.table(
        {
            "user_id": ["u", "u", "u", "v", "v", "w"],
            "item_id": ["b", "a", "b", "b", "a", "a"],
            "timestamp": np.array([10, DAY + 5, DAY + 5, 20, DAY + 9, DAY + 9], np.int64),
        }
    )
    return Log(rows, FeatureSet(histories=Histories(repeats=repeats)))


def test_rows_of_a_time_are_asked_and_of_items_that_were_had_only_where_they_repeat():
    assert log(repeats=True).asked(DAY, 2 * DAY, 10).tolist() == [1, 2, 4, 5]
    assert log(repeats=False).asked(DAY, 2 * DAY, 10).tolist() == [1, 4, 5]
    assert len(log(repeats=True).asked(DAY, 2 * DAY, 2)) == 2


def test_a_query_knows_what_its_user_did_before_its_second():
    query = log(repeats=True)._requests(np.array([1, 2, 4, 5]))
    assert query["history_item_id"].numpy().tolist() == [[b"b"], [b"b"], [b"b"], [b""]]
    assert query["history_timestamp"].numpy().tolist() == [[10], [10], [20], [0]]
    assert query["user_id"].numpy().tolist() == [b"u", b"u", b"v", b"w"]


def test_popularity_is_that_of_the_days_before():
    """Until day 1 it is all b, which u and v have had; then there is nothing left of what anybody has had."""
    asked = log(repeats=False)
    rows = asked.asked(DAY, 2 * DAY, 10)
    assert asked.of_popularity(rows, DAY, 30) == {"top_100": 0.0, "ndcg_at_10": 0.0}
    again = log(repeats=True)
    found = again.of_popularity(again.asked(DAY, 2 * DAY, 10), DAY, 30)
    assert found == {"top_100": 0.25, "ndcg_at_10": 0.25}, "the second b of u alone"


class Lists(tf.Module):
    """Says a, b to everybody; ranking turns them round."""

    ids = tf.constant([b"b", b"a", b""])

    def measure(self, query, item_id):
        lists = {"retrieved": [1, 0], "recommended": [0, 1]}
        scores = {"retrieved_score": [2.0, 1.0], "recommended_score": [2.0, 1.0]}
        return {name: tf.constant([of] * len(item_id)) for name, of in (lists | scores).items()}


def test_a_models_figures_are_of_its_lists():
    found = log(repeats=True).of_model(Lists(), np.array([1, 2]))
    assert found == {"top_100": 1.0, "ndcg_at_10": pytest.approx((1 + 1 / np.log2(3)) / 2)}


def test_a_backtest_goes_on_where_it_was_stopped_and_not_with_anothers_models(config, tmp_path):
    output, key = tmp_path / "nights", command._key(config, 3)
    output.mkdir()
    assert command._done(str(output), "what was tried before anything ran") == {}
    assert command._done(str(output), key) == {}
    (output / "runs").mkdir()
    line = {"span": "2021-02-06", "start": "warm", "verdict": "pushed"}
    (output / "nights.jsonl").write_text(json.dumps(line) + "\n" + json.dumps(line)[:-9])
    assert command._done(str(output), key) == {("2021-02-06", "warm"): line}
    config.retrieval.epochs += 1
    for other in (command._key(config, 3), command._key(load_config(str(tmp_path / "shop.yaml")), 2)):
        with pytest.raises(UserError, match="holds a backtest of other data"):
            command._done(str(output), other)


def test_the_table_tells_the_live_models_age_and_means_weighted_by_what_was_asked():
    def night(start, verdict, asked, top_100):
        figures = {"top_100": top_100, "ndcg_at_10": 0.1}
        same = {"span": "2021-02-06", "seconds": 5.0, "training_seconds": 2.0, "live": "7", "because": []}
        of_night = {"start": start, "verdict": verdict, "asked": asked}
        return same | of_night | {"model": figures, "recent_popularity": figures}

    text = io.StringIO()
    cold = [night("cold", "pushed", 100, 0.4), night("cold", "refused", 300, 0.2), night("cold", "stopped", 100, 0.5)]
    warm = [night("warm", "refused", 100, 0.3), night("warm", "pushed", 300, 0.3), night("warm", "pushed", 100, 0.3)]
    command.show([one for both in zip(cold, warm, strict=True) for one in both], Console(file=text, width=80))
    rows = [line.split() for line in text.getvalue().splitlines()]
    figures = ["top-100", "popular", "nDCG@10", "popular"]
    assert rows[0] == ["night", "start", "verdict", "age", "training", "asked", *figures]
    assert [row[1] for row in rows[1:7]] == ["cold", "warm"] * 3
    assert [row[3] for row in rows[1:7:2]] == ["0", "1", "2"] and [row[3] for row in rows[2:7:2]] == ["-", "0", "0"]
    assert rows[7] == ["all", "cold", "6", "500", "0.3000", "0.3000", "0.1000", "0.1000"]
    assert rows[8] == ["all", "warm", "6", "500", "0.3000", "0.3000", "0.1000", "0.1000"]
