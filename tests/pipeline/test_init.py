"""`recommender init`: what it makes of files as people have them."""

import io

import numpy as np
import pyarrow as pa
import pytest
import yaml
from rich.console import Console

from models.errors import UserError
from pipeline.config import load_config
from pipeline.data import checks
from pipeline.guess import command
from pipeline.guess.columns import describe
from tests.components.shops import COLUMNS, DAYS, EVENTS, PRODUCT, csv, events, parquet, shop


def init(directory, path):
    """What was written, and what was said."""
    said = io.StringIO()
    command.run(str(directory), str(path), Console(file=said, width=200))
    checks.check(load_config(str(path)))
    return yaml.safe_load(path.read_text()), said.getvalue()


@pytest.fixture
def files(tmp_path):
    """A directory of a shop's two files."""
    directory = tmp_path / "shop"
    directory.mkdir()
    shop(directory).unlink()
    return directory


def test_columns_are_known_by_their_names_and_the_configuration_runs(files, tmp_path):
    tree, said = init(files, tmp_path / "my.yaml")
    positive = tree["data"]["interactions"]["positive"]
    assert tree == {
        "repeats": tree["repeats"],
        "data": {
            "directory": "shop",
            "interactions": {"file": "events.csv", "columns": COLUMNS, "positive": positive},
            "items": {
                "file": "products.csv",
                "columns": {"item_id": "sku", "title": "name"},
                "features": {"category": {"kind": "category"}},
            },
        },
    }
    assert np.mean(np.array(EVENTS["stars"]) >= positive) <= 0.6
    assert "its column 'sku' has the values of 'sku' of the interactions" in said
    assert f"Next: recommender run --config {tmp_path / 'my.yaml'}" in said


def test_without_a_header_columns_are_known_by_their_values(tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    rows = zip(EVENTS["customer"], EVENTS["sku"], EVENTS["stars"], EVENTS["time"], strict=True)
    (directory / "ratings.dat").write_text("".join("::".join(map(str, row)) + "\n" for row in rows))
    products = zip(PRODUCT["sku"], PRODUCT["name"], ["Red|Blue", "Blue"] * 6, strict=True)
    (directory / "items.dat").write_text("".join(f"{sku}::{name}::{tags}\n" for sku, name, tags in products))
    tree, _ = init(directory, tmp_path / "my.yaml")
    interactions, items = tree["data"]["interactions"], tree["data"]["items"]
    assert (interactions["delimiter"], interactions["header"]) == ("::", False)
    assert interactions["columns"] == {"user_id": 0, "item_id": 1, "rating": 2, "timestamp": 3}
    assert items["columns"] == {"item_id": 0, "title": 1}
    assert items["features"] == {"column_2": {"kind": "tags", "separator": "|", "column": 2}}
    assert "?" in (tmp_path / "my.yaml").read_text()


def test_what_is_taken_back_and_who_is_nobody_is_left_out(tmp_path):
    directory = tmp_path / "shop"
    directory.mkdir()
    buys = {
        "Invoice": [*range(150)],
        "CustomerID": ["" if row % 5 == 0 else f"{row % 30}" for row in range(150)],
        "StockCode": [f"A{row % 6}" for row in range(150)],
        "Quantity": [-1 if row % 10 == 0 else 2 for row in range(150)],
        "InvoiceDate": [day.strftime("%d/%m/%Y %H:%M") for day in DAYS],
    }
    (directory / "sales.csv").write_text(csv(buys, ";"))
    tree, said = init(directory, tmp_path / "my.yaml")
    assert tree["repeats"] is True
    assert tree["data"]["interactions"] == {
        "file": "sales.csv",
        "delimiter": ";",
        "columns": {"user_id": "CustomerID", "item_id": "StockCode", "timestamp": "InvoiceDate"},
        "timestamp": {"unit": "%d/%m/%Y %H:%M"},
        "where": {"Quantity": {"above": 0}},
        "require": ["user_id"],
    }
    assert "10.0% of the first rows take something back" in said and "20% of the first rows have no user" in said
    assert "not used: Invoice;" in said


def test_kinds_of_events_get_weights_and_the_wanted_ones_are_positive(tmp_path):
    directory = tmp_path / "shop"
    directory.mkdir()
    kinds = [("view", "view", "addtocart", "transaction")[row % 4] for row in range(150)]
    parquet(directory / "log.parquet", events(event=kinds))
    tree, _ = init(directory, tmp_path / "my.yaml")
    interactions = tree["data"]["interactions"]
    assert interactions["columns"]["event"] == "event"
    assert interactions["events"] == {"view": 1.0, "addtocart": 3.0, "transaction": 5.0}
    assert interactions["positive"] == ["addtocart", "transaction"]


def test_numbers_that_count_up_join_nothing_that_is_called_otherwise(tmp_path):
    directory = tmp_path / "films"
    directory.mkdir()
    rated = {"userId": [row % 30 + 1 for row in range(150)], "movieId": [row % 12 + 1 for row in range(150)]}
    (directory / "ratings.csv").write_text(csv(rated | {"timestamp": EVENTS["time"]}))
    films = [*range(1, 41)]
    (directory / "movies.csv").write_text(csv({"movieId": films, "title": [f"The film {n}" for n in films]}))
    (directory / "links.csv").write_text(csv({"movieId": films, "imdbId": [*range(1000, 1040)]}))
    tree, said = init(directory, tmp_path / "my.yaml")
    assert tree["data"]["items"] == {"file": "movies.csv", "columns": {"item_id": "movieId", "title": "title"}}
    assert "users" not in tree["data"] and "links.csv is not used" in said


def test_items_and_users_have_features_of_different_names(files, tmp_path):
    cities = [("Rome", "Oslo", "Bonn")[row % 3] for row in range(30)]
    users = {
        "customer": [f"u{row}" for row in range(30)],
        "category": cities,
        "timestamp": [row % 4 for row in range(30)],
    }
    (files / "customers.csv").write_text(csv(users))
    tree, _ = init(files, tmp_path / "my.yaml")
    assert tree["data"]["users"]["columns"] == {"user_id": "customer"}
    assert tree["data"]["users"]["features"]["user_category"] == {"kind": "category", "column": "category"}
    assert "category" in tree["data"]["items"]["features"]


def test_parts_are_one_table_and_directories_of_days_are_deliveries(files, tmp_path):
    for part in range(2):
        rows = {name: values[part::2] for name, values in EVENTS.items()}
        (files / f"part-0000{part}.csv").write_text(csv(rows))
    (files / "events.csv").unlink()
    assert init(files, tmp_path / "parts.yaml")[0]["data"]["interactions"]["file"] == "part-*.csv"
    for day in ("2026-11-01", "2026-11-02"):
        (tmp_path / "days" / day).mkdir(parents=True)
        (tmp_path / "days" / day / "events.csv").write_text(csv(EVENTS))
    tree, _ = init(tmp_path / "days", tmp_path / "days.yaml")
    assert tree["data"]["directory"] == "days/{span}" and tree["data"]["interactions"]["file"] == "events.csv"


def test_the_newest_delivery_by_its_number_is_looked_at(tmp_path):
    for number, name in (("9", "old.csv"), ("10", "new.csv")):
        (tmp_path / "runs" / number).mkdir(parents=True)
        (tmp_path / "runs" / number / name).write_text(csv(EVENTS))
    assert init(tmp_path / "runs", tmp_path / "my.yaml")[0]["data"]["interactions"]["file"] == "new.csv"


def test_quotes_that_nobody_closes_are_taken_as_they_are(files, tmp_path):
    names = [f'"{name}' for name in PRODUCT["name"]]
    (files / "products.csv").unlink()
    (files / "products.tsv").write_text(csv(PRODUCT | {"name": names}, "\t"))
    tree, said = init(files, tmp_path / "my.yaml")
    assert tree["data"]["items"]["quoting"] == "none"
    assert "quotes stand inside of texts" in said


def test_a_reason_is_a_comment_above_its_line(files, tmp_path):
    init(files, tmp_path / "my.yaml")
    lines = [line.strip() for line in (tmp_path / "my.yaml").read_text().splitlines()]
    above = lines[lines.index("user_id: customer") - 1]
    assert above == "# by its name; 30 different values in the first 150 rows, as 'u0'"


def test_what_cannot_be_is_one_clear_error(files, tmp_path):
    with pytest.raises(UserError, match="nowhere: no such directory"):
        command.run(str(tmp_path / "nowhere"), None, Console())
    (tmp_path / "there.yaml").touch()
    with pytest.raises(UserError, match=r"there\.yaml exists already"):
        command.run(str(files), str(tmp_path / "there.yaml"), Console())
    (files / "events.csv").unlink()
    with pytest.raises(UserError, match=r"no table seems to hold interactions.*products\.csv has sku, name, category"):
        command.run(str(files), str(tmp_path / "my.yaml"), Console())
    assert not (tmp_path / "my.yaml").exists()
    (files / "products.csv").write_text("sku,name\n")
    with pytest.raises(UserError, match=r"no table that can be read.*products\.csv was passed over: it has no rows"):
        command.run(str(files), str(tmp_path / "my.yaml"), Console())


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("x", ["1600000000", "1600000100"], "s"),
        ("x", ["1600000000000", "1600000100000"], "ms"),
        ("x", ["2021-02-03 04:05:06", "2021-02-03"], "iso"),
        ("x", ["31/12/2020 10:00"], "%d/%m/%Y %H:%M"),
        ("x", ["12/31/2020"], "%m/%d/%Y"),
        ("x", ["1", "2", "5+"], None),
        ("x", ["1", "2"], None),
        ("time", ["1", "2"], "s"),
        ("x", ["red", "blue"], None),
    ],
)
def test_times_are_known_by_how_they_are_written(name, values, unit):
    found = describe(name, pa.array(values)).time
    assert (found and found.unit) == unit


def test_what_the_interactions_say_of_items_and_users_in_every_row_is_told_of_them(tmp_path):
    """Labels have a word written otherwise now and then; a price is of the day; what somebody paid with, of anybody."""
    directory = tmp_path / "data"
    directory.mkdir()
    rows = ["who,sku,at,label,brand,price,town,paid\n"]
    for user in range(40):
        for number in range(6):
            item, day = (user * 3 + number) % 15, 1 + (user + number) % 9
            label = f"{'Fine' if (user + number) % 20 else 'fine'} thing no {item}"
            who = f"u{user}" if user % 5 else ""
            rows.append(
                f"{who},s{item},2026-10-0{day},{label},b{item % 4},{day + item / 10},t{user % 3},{'ab'[number % 2]}\n"
            )
    (directory / "sales.csv").write_text("".join(rows))
    tree, said = init(directory, tmp_path / "my.yaml")
    data = tree["data"]
    assert data["interactions"]["columns"] == {"user_id": "who", "item_id": "sku", "timestamp": "at"}
    assert data["items"] == {
        "file": "sales.csv",
        "columns": {"item_id": "sku", "title": "label"},
        "features": {"brand": {"kind": "category"}},
    }
    assert data["users"] == {
        "file": "sales.csv",
        "columns": {"user_id": "who"},
        "require": ["user_id"],
        "features": {"town": {"kind": "category"}},
    }
    assert "not used: price, paid" in said
    assert "no table of items; but label, brand of the interactions, the same in the rows of one item, make one" in said
    assert "rows of the interactions without 'who' tell of none" in said


@pytest.mark.parametrize("again", [True, False])
def test_what_a_shop_bills_beside_its_goods_is_never_recommended(again, tmp_path):
    """Films that nobody sees twice may be called as they like. A discount that is only taken back is no item."""
    directory = tmp_path / "data"
    directory.mkdir()
    titles = ["DOTCOM POSTAGE", "The Shipping News", "Gift Card", "Gift bag", *(f"thing no {n}" for n in range(11))]
    rows = ["customer,sku,label,at,quantity\n", *(f"u{n},s15,Discount,2026-10-01,-1\n" for n in range(9))]
    for user in range(40):
        for number in range(6):
            item = (user + number % (3 if again else 6)) % 15
            rows.append(f"u{user},s{item},{titles[item]},2026-10-0{1 + number},1\n")
    (directory / "sales.csv").write_text("".join(rows))
    tree, said = init(directory, tmp_path / "my.yaml")
    assert tree["repeats"] == again
    assert tree.get("index") == ({"never": {"where": {"item_id": ["s0", "s2"]}}} if again else None)
    assert ("by their titles no goods: DOTCOM POSTAGE, Gift Card" in said) == again
