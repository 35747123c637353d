"""Deliveries against the one that the live model was trained on, through the pipeline's own components."""

import json

import numpy as np
import pyarrow as pa
import pytest
from tfx.types import standard_artifacts

from components.artifacts import DriftReport
from components.drift_validator import kept
from components.drift_validator.distances import distances
from components.drift_validator.executor import Executor, level_of
from components.drift_validator.settings import Drift
from components.files import DRIFT_FILE
from components.tables.ids import of_ids, share_not_in
from models.errors import UserError
from pipeline.config import load_config
from tests.components.deliveries import artifacts, delivery, made
from tests.components.shops import csv

DAY, FIRST = 86_400, 1_700_006_400  # Midnight.
USERS, ITEMS, ROWS, DAYS = 400, 60, 12_000, 60
CATEGORIES = ("Tools", "Garden", "Toys", "Books")


def events(days=DAYS, seed=1):
    """People buy from eight in the morning till ten; some days at weekends are better."""
    rng = np.random.default_rng(seed)
    day = np.sort(
        rng.choice(days, ROWS * days // DAYS, p=(of_day := 1.0 + 0.5 * (np.arange(days) % 7 > 4)) / of_day.sum())
    )
    rows = {
        "customer": [f"{user:05d}" for user in rng.zipf(1.5, len(day)) % USERS],
        "sku": [f"p{item}" for item in rng.integers(ITEMS, size=len(day))],
        "stars": rng.choice([1, 2, 3, 4, 5], len(day), p=[0.05, 0.1, 0.25, 0.4, 0.2]).tolist(),
        "time": (FIRST + day * DAY + rng.integers(8 * 3600, 22 * 3600, len(day))).tolist(),
    }
    return rows


PRODUCTS = {
    "sku": [f"p{item}" for item in range(ITEMS)],
    "name": [f"Thing {item}" for item in range(ITEMS)],
    "category": [CATEGORIES[item % 4] for item in range(ITEMS)],
}


def shop(directory, rows, products=None, overrides=()):
    """The configuration of a delivery."""
    directory.mkdir()
    (directory / "events.csv").write_text(csv(rows))
    (directory / "products.csv").write_text(csv(products or PRODUCTS))
    columns = {"user_id": "customer", "item_id": "sku", "timestamp": "time", "rating": "stars"}
    of_items = {"columns": {"item_id": "sku", "title": "name"}, "features": {"category": {"kind": "category"}}}
    tables = {"interactions": {"file": "events.csv", "columns": columns}, "items": {"file": "products.csv"} | of_items}
    (directory / "shop.yaml").write_text(json.dumps({"data": tables}))
    return load_config(str(directory / "shop.yaml"), overrides)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A servable's directory, with what it keeps of its delivery."""
    directory = tmp_path_factory.mktemp("live")
    kept.write(delivery(shop(directory / "shop", events())), str(directory / "model" / "7"))
    return directory / "model"


def some(rows, mask):
    return {name: [value for value, keep in zip(values, mask, strict=True) if keep] for name, values in rows.items()}


def half_the_users(rows):
    return some(rows, [int(user) % 2 for user in rows["customer"]])


def all_fives(rows):
    return rows | {"stars": [5 if place % 3 == 0 else stars for place, stars in enumerate(rows["stars"])]}


def ids_without_zeros(rows):
    return rows | {"customer": [str(int(user)) for user in rows["customer"]]}


def a_day_twice(rows):
    last = [time >= max(rows["time"]) // DAY * DAY - 6 * DAY for time in rows["time"]]
    again = some(rows, last)
    return {name: [*values, *again[name]] for name, values in rows.items()}


def nine_hours_off(rows):
    return rows | {"time": [time + 9 * 3600 for time in rows["time"]]}


def a_crawler(rows):
    """The user with the most rows has ten times as many."""
    users, counts = np.unique(rows["customer"], return_counts=True)
    busiest, count = users[counts.argmax()], int(counts.max())
    more = {
        "customer": [str(busiest)] * 9 * count,
        "sku": [f"p{place % ITEMS}" for place in range(9 * count)],
        "stars": [4] * 9 * count,
        "time": [FIRST + 9 * 3600 + place * 97 % (DAYS * DAY) for place in range(9 * count)],
    }
    return {name: [*values, *more[name]] for name, values in rows.items()}


BAD = [
    (half_the_users, "fewer.users", " times fewer users"),
    (all_fives, "numbers.rating", "rating has other values"),
    (ids_without_zeros, "shapes.users", "ids of users are written otherwise: distance 1.00"),
    (a_day_twice, "repeated.rows", "more of the rows repeat another"),
    (nine_hours_off, "hours.interactions", "interactions are at other hours of the day"),
    (a_crawler, "busiest.user", "times as many rows of the busiest user"),
]


def validate(live, inputs, directory, **settings):
    """Runs the component; returns what it wrote, also when it stops."""
    output = made(DriftReport, directory / "drift")
    inputs = inputs | {"live_model": made(standard_artifacts.Model, live)}
    try:
        Executor().Do(inputs, {"drift": output}, {"settings": Drift(**settings).model_dump_json()})
        error = None
    except UserError as raised:
        error = str(raised)
    return json.loads((directory / "drift" / DRIFT_FILE).read_text()), error


@pytest.mark.parametrize(("fault", "limit", "text"), BAD, ids=[fault.__name__ for fault, _, _ in BAD])
def test_a_bad_delivery_stops_the_run(live, tmp_path, fault, limit, text):
    found, error = validate(live, artifacts(shop(tmp_path / "shop", fault(events())), tmp_path), tmp_path)
    assert error.startswith("the data is not like that of the live model, version 7, which goes on serving: ")
    assert text in error and f"(drift.limits.{limit})" in error
    stops = [f"{one['kind']}.{one['name']}" for one in found["findings"] if one["level"] == "stop"]
    assert limit in stops


def test_categories_that_are_gone_stop_the_run(live, tmp_path):
    for emptied, message in (
        (ITEMS, "no row has a value that can be read"),
        (ITEMS // 2, "missing.category"),
    ):
        categories = ["" if place < emptied else one for place, one in enumerate(PRODUCTS["category"])]
        directory = tmp_path / str(emptied)
        directory.mkdir()
        config = shop(directory / "shop", events(), PRODUCTS | {"category": categories})
        try:
            _, error = validate(live, artifacts(config, directory), directory)
        except UserError as raised:  # InteractionGen's, which comes first.
            error = str(raised)
        assert message in error


def test_honest_nights_pass_without_a_word(live, tmp_path):
    """Another day, also with other people's purchases: the same shop."""
    for number, rows in enumerate((events(), events(DAYS + 1), events(seed=2))):
        directory = tmp_path / str(number)
        directory.mkdir()
        found, error = validate(live, artifacts(shop(directory / "shop", rows), directory), directory)
        assert error is None and found["against"] == "7"
        assert found["findings"] == []


def test_what_would_stop_is_only_said_where_it_is_meant(live, tmp_path):
    inputs = artifacts(shop(tmp_path / "shop", nine_hours_off(events())), tmp_path)
    found, error = validate(live, inputs, tmp_path, stops=False)
    assert error is None
    (hours,) = (one for one in found["findings"] if one["kind"] == "hours")
    assert hours["level"] == "warn"
    assert hours["distribution"]["08"][0] == 0 < hours["distribution"]["08"][1]
    _, error = validate(live, inputs, tmp_path, limits={"hours": {"warn": 0.01}})
    assert error is None
    found, error = validate(live, inputs, tmp_path, limits={"hours.interactions": None})
    assert error is None and found["findings"] == []


def test_without_a_live_model_or_what_it_keeps_there_is_nothing_to_compare(tmp_path):
    inputs = artifacts(shop(tmp_path / "shop", events()), tmp_path)
    (tmp_path / "none").mkdir()
    (tmp_path / "older" / "3").mkdir(parents=True)
    for name in ("none", "older"):
        found, error = validate(tmp_path / name, inputs, tmp_path)
        assert (found, error) == ({"against": None, "distances": {}, "findings": []}, None)


def test_a_delivery_is_no_distance_from_itself(live):
    same = kept.read(str(live / "7"))
    assert {one.value for one in distances(same, same)} == {0.0, 1.0}
    assert all(level_of(one, Drift()) is None for one in distances(same, same))


def test_a_single_limit_is_given_by_its_path_in_either_way():
    for given in ({"missing.brand": {"stop": 0.5}}, {"missing": {"brand": {"stop": 0.5}}}):
        drift = Drift(limits=given)
        assert drift.limit("missing", "brand").stop == 0.5
        assert drift.limit("missing", "colour").stop == 0.2
    (name,) = load_config("demo", ["drift.limits.fewer.users={stop: 9}"]).drift.limits.keys() - Drift().limits.keys()
    assert name == "fewer.users"
    assert Drift(limits={"missing": {"stop": 0.5}}).limit("missing", "brand").stop == 0.5


@pytest.mark.parametrize(
    ("limits", "message"), [({"hour": {}}, "'hour' is none of"), ({"hours": {"stop": -1}}, "greater")]
)
def test_limits_are_checked(limits, message):
    with pytest.raises(ValueError, match=message):
        Drift(limits=limits)


def test_ids_are_known_by_their_shapes():
    ids = pa.array(["0042", "42", "7", "A-0042", "a7b", "B-9"])
    assert of_ids(ids)["shapes"] == {"#": 1, "9": 2, "A-#": 1, "a9a": 1, "A-9": 1}


@pytest.mark.parametrize("size", [500, 200_000])
def test_the_share_of_new_ids_is_found_from_sketches(size):
    before, after = (pa.array([f"u{place}" for place in range(start, start + size)]) for start in (0, size // 4))
    now, was = (of_ids(ids)["sketch"] for ids in (after, before))
    assert share_not_in(now, was) == pytest.approx(0.25, abs=1e-9 if size < 1024 else 0.05)
    assert share_not_in(was, was) == 0
