"""Files as people have them, from public reports: each is read, and no row of it vanishes."""

import bz2
import decimal
import gzip

import pyarrow as pa
import pytest

from tests.components.shops import (
    ALL,
    COLUMNS,
    CUSTOMERS,
    DAYS,
    EVENTS,
    FIRST,
    FLOATS,
    NUMBERED,
    NUMBERED_USERS,
    PARQUET,
    PRODUCT,
    PRODUCTS,
    ROWS,
    SECOND,
    USERS,
    at,
    columns,
    csv,
    events,
    events_in,
    halves,
    parquet,
    read,
    rows_of,
    shop,
    tsv,
    write,
    write_parquet,
    zstd,
)

BOM = "\ufeff"
UNRATED = ("customer", "sku", "time")
READS = {
    "ids that a null made floats": ([write("events.csv", csv(FLOATS)), write("products.csv", csv(NUMBERED))], {}),
    "ids that are floats in a later part only": (
        [
            write("events-1.csv", csv(halves(FLOATS)[0]).replace(".0,", ",")),
            write("events-2.csv", csv(halves(FLOATS)[1])),
            write("products.csv", csv(NUMBERED)),
        ],
        {"interactions": {"file": "events-*.csv"}},
    ),
    "ids that are doubles, decimals and dictionaries": (
        [
            write_parquet(
                "events.parquet",
                events(
                    customer=pa.array([decimal.Decimal(n % CUSTOMERS) for n in range(ROWS)], pa.decimal128(38, 0)),
                    sku=pa.array([float(n % PRODUCTS) for n in range(ROWS)]),
                ),
            ),
            write_parquet("products.parquet", NUMBERED | {"sku": pa.array(NUMBERED["sku"]).dictionary_encode()}),
            write("users.csv", NUMBERED_USERS),
        ],
        PARQUET | {"items": {"file": "products.parquet"}, "users": USERS},
    ),
    "ids that are bytes": (
        [write_parquet("events.parquet", events(sku=[sku.encode() for sku in EVENTS["sku"]]))],
        PARQUET,
    ),
    "a byte order mark": ([write("events.csv", BOM + csv(EVENTS))], {}),
    "a byte order mark before a quote": ([write("events.csv", BOM + csv(EVENTS, quoted=True))], {}),
    "a byte order mark in each part": (
        [write("events-1.csv", BOM + csv(FIRST)), write("events-2.csv", BOM + csv(SECOND))],
        {"interactions": {"file": "events-*.csv"}},
    ),
    "a byte order mark in a file that is latin-1 else": (
        [write("events.csv", BOM + csv(EVENTS))],
        {"interactions": {"encoding": "latin-1"}},
    ),
    "a byte order mark without a header": (
        [write("events.csv", BOM + csv(EVENTS).partition("\n")[2])],
        {"interactions": {"header": False, **columns(user_id=0, item_id=1, rating=2, timestamp=3)}},
    ),
    "UTF-16, as Excel's Unicode text": (
        [write("products.csv", csv(PRODUCT, "\t", "\r\n").encode("utf-16"))],
        {"items": {"encoding": "utf-16", "delimiter": "\t"}},
    ),
    "UTF-16, packed": (
        [write("products.csv.gz", gzip.compress(csv(PRODUCT).encode("utf-16-le")))],
        {"items": {"file": "products.csv.gz", "encoding": "utf-16-le"}},
    ),
    "blanks before quotes": ([write("products.csv", csv(PRODUCT, ", ", quoted=True))], {"items": {"delimiter": ","}}),
    "ids as R writes numbers": (
        [
            write("events.csv", csv(events(sku=["1e+05", "2e+05", "7"] * 50))),
            write("products.csv", csv(PRODUCT | {"sku": [100000, 200000, *range(10)]})),
        ],
        {},
    ),
    "keys of a map by path": (
        [
            write_parquet(
                "events.parquet",
                events(of=pa.array([[("id", one)] for one in EVENTS["customer"]], pa.map_(pa.string(), pa.string()))),
            )
        ],
        events_in("events.parquet", user_id="of.id"),
    ),
    "line ends of CR": ([write("events.csv", csv(EVENTS, end="\r"))], {}),
    "line ends of CR and quotes": ([write("events.csv", csv(EVENTS, end="\r", quoted=True))], {}),
    "line ends of CR LF and none at the end": ([write("events.csv", csv(EVENTS, end="\r\n").rstrip())], {}),
    "line ends of all kinds": (
        [write("events.csv", csv(FIRST, end="\r\n") + csv(SECOND, end="\r").partition("\r")[2])],
        {},
    ),
    "empty lines before the header": ([write("events.csv", "\n \n" + csv(EVENTS))], {}),
    "a line that says the separator": ([write("events.csv", "sep=;\r\n" + csv(EVENTS, ";", "\r\n"))], {}),
    "a decimal comma": (
        [write("events.csv", csv(events(stars=[f"{stars},5" for stars in EVENTS["stars"]]), ";"))],
        {"interactions": {"delimiter": ";", "decimal": ","}},
    ),
    "titles with quotes and no quoting": (
        [write("products.tsv", tsv(p3='"Best" of', p5='36" screen', p7='"'))],
        {"items": {"file": "products.tsv", "quoting": "none"}},
    ),
    "quotes with a backslash before them": (
        [write("products.csv", csv(PRODUCT | {"name": ['The \\"Best\\"'] * PRODUCTS}, quoted=True))],
        {"items": {"escape": "\\"}},
    ),
    "lines that end inside quotes": (
        [write("products.csv", csv(PRODUCT | {"name": ["one\ntwo"] * PRODUCTS}, quoted=True))],
        {},
    ),
    "lines inside quotes that look like rows, and are trusted": (
        [write("products.csv", csv(PRODUCT | {"name": ["one,two\nthree,four"] * PRODUCTS}, quoted=True))],
        {"items": {"quoting": "standard"}},
    ),
    "a long field that nobody asks for": (
        [write("products.csv", csv(PRODUCT | {"about": ["x" * 200_000] * PRODUCTS}, quoted=True))],
        {},
    ),
    "gzip": ([write("events.csv.gz", gzip.compress(csv(EVENTS).encode()))], events_in("events.csv.gz")),
    "gzip of several members": (
        [write("events.csv.gz", gzip.compress(csv(FIRST).encode()) + gzip.compress(rows_of(SECOND).encode()))],
        events_in("events.csv.gz"),
    ),
    "zstd": ([write("events.csv.zst", zstd(csv(EVENTS)))], events_in("events.csv.zst")),
    "bzip2": ([write("events.csv.bz2", bz2.compress(csv(EVENTS).encode()))], events_in("events.csv.bz2")),
    "parts of which one is empty and one has a header only": (
        [
            write("part-0.csv", csv(FIRST)),
            write("part-1.csv", ""),
            write("part-2.csv", "customer,sku,stars,time"),
            write("part-3.csv", csv(SECOND)),
        ],
        {"interactions": {"file": "part-*.csv"}},
    ),
    "a directory of parts": (
        [write("events/part-0.csv", csv(FIRST)), write("events/b/part-1.csv.gz", gzip.compress(csv(SECOND).encode()))],
        {"interactions": {"file": "events"}},
    ),
    "Spark's directory": (
        [
            write_parquet("events.parquet/part-0.snappy.parquet", FIRST),
            write_parquet("events.parquet/part-1.snappy.parquet", SECOND),
            write("events.parquet/_SUCCESS", ""),
            write("events.parquet/.part-0.snappy.parquet.crc", "crc"),
        ],
        PARQUET,
    ),
    "Hive's partitions": (
        [
            write_parquet(
                f"events/stars={stars}/part-0.parquet",
                {
                    name: [one for one, of in zip(EVENTS[name], EVENTS["stars"], strict=True) if of == stars]
                    for name in UNRATED
                },
            )
            for stars in range(1, 6)
        ],
        events_in("events"),
    ),
    "days of partitions": (
        [
            write(f"events/day={day:%Y-%m-%d}/part.csv", f"customer,sku,stars\n{customer},{sku},{stars}\n")
            for day, customer, sku, stars in zip(DAYS, EVENTS["customer"], EVENTS["sku"], EVENTS["stars"], strict=True)
        ],
        events_in("events/day=*", timestamp="day"),
    ),
    "a pattern of directories": (
        [write("a/2020/events.csv", csv(FIRST)), write("a/2021/x/events.csv", csv(SECOND))],
        {"interactions": {"file": "a/**/events.csv"}},
    ),
    "nested columns by path": (
        [
            write_parquet(
                "events.parquet", events(user=[{"id": f"u{n % 30}", "at": {"s": DAYS[n]}} for n in range(ROWS)])
            )
        ],
        events_in("events.parquet", user_id="user.id", timestamp="user.at.s"),
    ),
    "a flat name with a dot beside a struct": (
        [write_parquet("events.parquet", events(**{"user.id": EVENTS["customer"]}, user=[{"id": "x"}] * ROWS))],
        events_in("events.parquet", user_id="user.id"),
    ),
    "a list of structs by path": (
        [write_parquet("products.parquet", PRODUCT | {"kinds": [[{"id": 1, "name": "Tools"}], None, []] * 4})],
        {"items": {"file": "products.parquet", "features": {"category": {"kind": "tags", "column": "kinds.name"}}}},
    ),
    "lists of texts": (
        [write_parquet("products.parquet", PRODUCT | {"category": [["a", "b"]] * PRODUCTS})],
        {"items": {"file": "products.parquet"}},
    ),
    "no ratings": ([], {"interactions": columns(rating=None)}),
    "times as ISO 8601": ([write("events.csv", csv(at("%Y-%m-%d %H:%M:%S")))], {}),
    "times as ISO 8601 with T and Z": ([write("events.csv", csv(at("%Y-%m-%dT%H:%M:%S.123456Z")))], {}),
    "times as a warehouse exports them": ([write("events.csv", csv(at("%Y-%m-%d %H:%M:%S UTC")))], {}),
    "times as days": ([write("events.csv", csv(at("%Y-%m-%d")))], {}),
    "times as days that are numbers": (
        [write_parquet("events.parquet", events(time=[int(day.strftime("%Y%m%d")) for day in DAYS]))],
        PARQUET,
    ),
    "times of a format": (
        [write("events.csv", csv(at("%d.%m.%y %H:%M")))],
        {"interactions": {"timestamp": {"unit": "%d.%m.%y %H:%M"}}},
    ),
    "seconds with a fraction": ([write("events.csv", csv(events(time=[f"{time}.75" for time in EVENTS["time"]])))], {}),
    "seconds as doubles": (
        [write_parquet("events.parquet", events(time=[time + 0.5 for time in EVENTS["time"]]))],
        PARQUET,
    ),
    "milliseconds that are said": (
        [write("events.csv", csv(events(time=[time * 1000 for time in EVENTS["time"]])))],
        {"interactions": {"timestamp": {"unit": "ms"}}},
    ),
    "DATE": ([write_parquet("events.parquet", events(time=pa.array([day.date() for day in DAYS])))], PARQUET),
    "zoned nanoseconds": (
        [write_parquet("events.parquet", events(time=pa.array(DAYS, pa.timestamp("ns", "America/New_York"))))],
        PARQUET,
    ),
    "times that are all the same": ([write("events.csv", csv(events(time=[1] * ROWS)))], {}),
    "times that are an order": ([write("events.csv", csv(events(time=[*range(1, ROWS + 1)])))], {}),
    "headers with types": (
        [write("events.csv", csv({f"{name}:token": values for name, values in EVENTS.items()}, "\t"))],
        {"interactions": {"delimiter": "\t", "columns": {ours: f"{name}:token" for ours, name in COLUMNS.items()}}},
    ),
    "users whose numbers match": (
        [write("events.csv", csv(FLOATS)), write("products.csv", csv(NUMBERED)), write("users.csv", NUMBERED_USERS)],
        {"users": USERS},
    ),
}


@pytest.mark.parametrize("case", READS)
def test_it_is_read(tmp_path, case):
    files, sections = READS[case]
    for make in files:
        make(tmp_path)
    summary = read(shop(tmp_path, **sections))
    tables = summary["tables"]
    assert tables["interactions"] == ALL
    assert tables["items"] == {"rows": PRODUCTS, "accepted": PRODUCTS, "merged": 0, "left_out": 0, "rejected": 0}
    assert summary["items"] == PRODUCTS and summary["unreadable"] == {} and summary["times"]
    if "users" in tables:
        assert summary["known_users"] == summary["users"] == CUSTOMERS


def test_rows_of_the_same_day_are_merged_and_not_broken(tmp_path):
    twice = {name: [*values, *values[:20]] for name, values in EVENTS.items()}
    (tmp_path / "events.csv").write_text(csv(twice))
    summary = read(shop(tmp_path))
    assert summary["tables"]["interactions"] == ALL | {"rows": ROWS + 20, "merged": 20}
    listed = (tmp_path / "read" / "rejected" / "rows.csv").read_text().splitlines()
    assert len(listed) == 21 and listed[1].startswith("interactions,merged,") and "repeats line 2" in listed[1]


def test_the_interactions_may_tell_of_items_and_users_too(tmp_path):
    """Every fifth row has no customer, and those of product 3 are taken back."""
    product = [int(sku[1:]) for sku in EVENTS["sku"]]
    told = events(
        customer=["" if row % 5 == 0 else f"u{row % 7}" for row in range(ROWS)],
        name=[f"Thing {number}" for number in product],
        country=[f"c{row % 7}" for row in range(ROWS)],
        pieces=[-1 if number == 3 else 2 for number in product],
    )
    (tmp_path / "events.csv").write_text(csv(told))
    counted = {"require": ["user_id"], "where": {"pieces": {"above": 0}}}
    features = {"country": {"kind": "category"}}
    summary = read(
        shop(
            tmp_path,
            interactions=counted,
            items={"file": "events.csv", "features": {}, "where": counted["where"]},
            users={"file": "events.csv", "columns": {"user_id": "customer"}, "features": features, **counted},
        )
    )
    back, nobody = product.count(3), sum(number != 3 for number in product[::5])
    bought = ROWS - back - sum(product[row] != 3 for row in range(0, ROWS, 5))
    assert summary["tables"]["interactions"] == ALL | {"accepted": bought, "left_out": ROWS - bought}
    items, users = summary["tables"]["items"], summary["tables"]["users"]
    assert items == ALL | {"accepted": PRODUCTS - 1, "merged": ROWS - back - PRODUCTS + 1, "left_out": back}
    assert users == ALL | {"accepted": 7, "merged": bought - 7, "left_out": back + nobody}
    assert summary["known_users"] == summary["users"] == 7 and summary["items"] == PRODUCTS - 1


def test_missing_customers_and_ratings_are_rejected(tmp_path):
    customers = pa.array([None, *(float(n % CUSTOMERS) for n in range(1, ROWS))])
    stars = pa.array([5.0, float("nan"), *map(float, EVENTS["stars"][2:])])
    parquet(tmp_path / "events.parquet", events(customer=customers, stars=stars))
    (tmp_path / "users.csv").write_text(NUMBERED_USERS)
    summary = read(shop(tmp_path, **PARQUET, users=USERS), ("data.max_rejected_share=0.1",))
    assert summary["tables"]["interactions"] == ALL | {"accepted": ROWS - 2, "rejected": 2}
    assert [(cause["cause"], cause["example"]) for cause in summary["causes"]] == [
        ("missing user_id", "events.parquet, line 1"),
        ("missing rating", "events.parquet, line 2"),
    ]
    assert summary["known_users"] == CUSTOMERS


ODD = ["007", "1.0", "a b", "a/b", "ä ö", "日本語", "🙂", "x,y", 'say "hi"', "back\\slash", "--help", "two\nlines"]


def test_odd_ids_stay_as_they_are_but_for_blanks_around_them(tmp_path):
    ids = [*ODD, "x" * 5000]
    blanks = [" ", "\u00a0", "\t", "\u3000", ""]
    padded = [f"{blanks[n % 5]}{one}{blanks[n % 4]}" for n, one in enumerate(ids)]
    products = {"sku": padded, "name": padded, "category": ["x"] * len(ids)}
    quoted = {name: [str(value).replace('"', '""') for value in values] for name, values in products.items()}
    (tmp_path / "products.csv").write_text(csv(quoted, quoted=True))
    bought = events(sku=[ids[n % len(ids)].replace('"', '""') for n in range(ROWS)])
    (tmp_path / "events.csv").write_text(csv(bought, quoted=True))
    summary = read(shop(tmp_path))
    assert summary["tables"]["interactions"] == ALL and summary["items"] == len(ids)
