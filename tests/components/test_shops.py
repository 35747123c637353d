"""Files as people have them, from public reports: each is read, or refused in one line that says what would do."""

import bz2
import decimal
import gzip

import pyarrow as pa
import pytest

from models.errors import UserError
from pipeline.config import load_config
from tests.components.shops import (
    COLUMNS,
    CUSTOMERS,
    DAYS,
    EVENTS,
    PRODUCT,
    PRODUCTS,
    ROWS,
    csv,
    events,
    parquet,
    read,
    shop,
)

BOM = "\ufeff"
ALL = {"rows": ROWS, "accepted": ROWS, "merged": 0, "left_out": 0, "rejected": 0}


def columns(**changes):
    return {"columns": {name: column for name, column in (COLUMNS | changes).items() if column is not None}}


def write(name, content):
    """A file of the shop."""

    def make(directory):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def write_parquet(name, table, **options):
    return lambda directory: parquet(directory / name, table, **options)


def zstd(text):
    return pa.compress(text.encode(), codec="zstd", asbytes=True)


def halves(table):
    middle = ROWS // 2
    first = {name: values[:middle] for name, values in table.items()}
    return first, {name: values[middle:] for name, values in table.items()}


def events_in(file, **changes):
    return {"interactions": {"file": file, **columns(**changes)}}


def rows_of(table):
    """CSV without its header."""
    return csv(table).partition("\n")[2]


def at(form):
    """The times in a format."""
    return events(time=[day.strftime(form) for day in DAYS])


FIRST, SECOND = halves(EVENTS)
FLOATS = events(customer=[f"{n % CUSTOMERS}.0" for n in range(ROWS)], sku=[f"{n % PRODUCTS}.0" for n in range(ROWS)])
NUMBERED = PRODUCT | {"sku": [*range(PRODUCTS)]}
UNRATED = ("customer", "sku", "time")
USERS = {"file": "users.csv", "columns": {"user_id": "id"}, "features": {"age": {"kind": "number"}}}
NUMBERED_USERS = csv({"id": [*range(CUSTOMERS)], "age": [*range(20, 20 + CUSTOMERS)]})
PARQUET = events_in("events.parquet")
TSV = {"items": {"file": "products.tsv"}}


def tsv(**titles):
    """The products with tabulators and no quoting, and titles of some."""
    names = [titles.get(sku, name) for sku, name in zip(PRODUCT["sku"], PRODUCT["name"], strict=True)]
    return csv(PRODUCT | {"name": names}, "\t")


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


REFUSED = {
    "no times": (
        [],
        {"interactions": columns(timestamp=None)},
        r"columns has no timestamp: .*order of a history.*dates do",
    ),
    "milliseconds that are not said": (
        [write("events.csv", csv(events(time=[time * 1000 for time in EVENTS["time"]])))],
        {},
        r"events.csv: column .time.: .* would lie in the year 52,.* in 2020 as milliseconds.*: set data.*unit: ms",
    ),
    "nanoseconds as numbers": (
        [write_parquet("events.parquet", events(time=[time * 10**9 for time in EVENTS["time"]]))],
        PARQUET,
        r"in 2020 as nanoseconds since 1970: set data.interactions.timestamp.unit: ns",
    ),
    "seconds that are said to be milliseconds": (
        [],
        {"interactions": {"timestamp": {"unit": "ms"}}},
        r"would lie in 1970 as milliseconds and in 2020 as seconds since 1970: set data.interactions.timestamp.unit: s",
    ),
    "dates of a country": (
        [write("events.csv", csv(at("%d/%m/%Y")))],
        {},
        r"its times, as '13/09/2020', are neither numbers nor ISO 8601: set data.interactions.timestamp.unit: \"%d",
    ),
    "texts that are no times": (
        [write("events.csv", csv(events(time=["{key} {}"] * ROWS)))],
        {},
        r"its times, as '.* {}', are neither",
    ),
    "dates that are said to be seconds": (
        [write("events.csv", csv(at("%Y-%m-%d")))],
        {"interactions": {"timestamp": {"unit": "s"}}},
        r"its times, as '2020-09-13', are ISO 8601: set data.interactions.timestamp.unit: iso",
    ),
    "a quote that is never closed": (
        [write("products.tsv", tsv(p3='"Best of'))],
        TSV,
        r"products.tsv, line 5: not valid CSV: a quote opens in the row that begins here, and.*`quoting: none`",
    ),
    "a quote that is closed too early": (
        [write("products.tsv", tsv(p3='"Best" of', p5='36" screen'))],
        TSV,
        r"products.tsv, line 5: not valid CSV: a field goes on after its closing quote.*`quoting: none`",
    ),
    "a quote that takes in rows": (
        [write("products.tsv", tsv(p3='"Best of', p6='Vinyl 12"'))],
        TSV,
        r"products.tsv, line 5: the quote that opens here closes on line 8, and every line between looks like a row",
    ),
    "a backslash before a quote": (
        [write("products.csv", csv(PRODUCT | {"name": ['The \\"Best\\"'] * PRODUCTS}, quoted=True))],
        {},
        r'products.csv, line 2: not valid CSV: a quote has a backslash before it: set `escape: "\\\\"`',
    ),
    "a struct": (
        [write_parquet("products.parquet", PRODUCT | {"category": [{"id": 1, "name": "x"}] * PRODUCTS})],
        {"items": {"file": "products.parquet"}},
        r"products.parquet: column 'category' is a struct of id, name: give one of its fields.*as category.id",
    ),
    "a list of structs": (
        [write_parquet("products.parquet", PRODUCT | {"category": [[{"id": 1, "name": "x"}]] * PRODUCTS})],
        {"items": {"file": "products.parquet"}},
        r"column 'category' is a struct of id, name",
    ),
    "ids in lists": (
        [write_parquet("events.parquet", events(customer=[["u1"]] * ROWS))],
        PARQUET,
        r"events.parquet: column 'customer' holds lists; only a feature of kind tags or vector may",
    ),
    "ids that are fractions": (
        [write_parquet("events.parquet", events(customer=[1.5] * ROWS))],
        PARQUET,
        r"events.parquet: column 'customer' holds 1.5, and an id is a text or a whole number",
    ),
    "ids that are fractions of decimals": (
        [write_parquet("events.parquet", events(customer=[decimal.Decimal("1.50")] * ROWS))],
        PARQUET,
        r"column 'customer' holds 1.5, and an id",
    ),
    "a path to nothing": (
        [write_parquet("events.parquet", events(user=[{"id": "u1"}] * ROWS))],
        events_in("events.parquet", user_id="user.name"),
        r"events.parquet has no column 'user.name'; it has customer, sku, stars, time, user.id",
    ),
    "a part with other columns": (
        [write("part-0.csv", csv(FIRST)), write("part-1.csv", csv(SECOND).replace("customer", "CUSTOMER"))],
        {"interactions": {"file": "part-*.csv"}},
        r"part-1.csv, line 1: no column 'customer'; the header has CUSTOMER, sku, stars, time",
    ),
    "a part without a header": (
        [write("part-0.csv", csv(FIRST)), write("part-1.csv", rows_of(SECOND))],
        {"interactions": {"file": "part-*.csv"}},
        r"part-1.csv, line 1: no column 'customer'",
    ),
    "a column twice": (
        [write("events.csv", csv(EVENTS).replace("stars,time", "sku,time", 1))],
        {"interactions": columns(rating=None)},
        r"events.csv, line 1: the header has 'sku' 2 times",
    ),
    "another delimiter": ([write("events.csv", csv(EVENTS, ";"))], {}, r"Is ';' between its fields\? Set `delimiter`"),
    "a separator that is said twice": (
        [write("events.csv", "sep=;\n" + csv(EVENTS, ";"))],
        {"interactions": {"delimiter": ","}},
        r"events.csv, line 1: the file says that ';' separates, and `delimiter` in the table's layout ','",
    ),
    "another encoding": (
        [write("products.csv", csv(PRODUCT).encode("utf-16"))],
        {},
        r"products.csv begins with the byte order mark of UTF-16: set `encoding: utf-16`",
    ),
    "a title in another encoding": (
        [write("products.csv", csv(PRODUCT).replace("Thing 3", "Café").encode("latin-1"))],
        {},
        r"products.csv, line 5: not utf-8 \(.*\): set `encoding`",
    ),
    "Parquet without its ending": (
        [write_parquet("events.csv", EVENTS)],
        {},
        r"events.csv is a Parquet file: set `format: parquet`",
    ),
    "gzip without its ending": (
        [write("events.csv", gzip.compress(csv(EVENTS).encode()))],
        {},
        r"events.csv is a gzip file: its name has to end in .gz",
    ),
    "zeros between the bytes": (
        [write("products.csv", csv(PRODUCT).encode("utf-16-le"))],
        {},
        r"products.csv, line 1: has a byte that is 0: if the file is in another encoding",
    ),
    "only empty parts": (
        [write("part-0.csv", ""), write("part-1.csv", "customer,sku,stars,time\n")],
        {"interactions": {"file": "part-*.csv"}},
        r"part-\*.csv has no rows: it has to hold the interactions table",
    ),
    "only marks of the writer": (
        [write("events/_SUCCESS", "")],
        {"interactions": {"file": "events"}},
        r"events: no such file \(the interactions table\)",
    ),
    "not gzip": ([write("events.csv.gz", csv(EVENTS))], events_in("events.csv.gz"), r"not a whole gzip file"),
    "items of which none can be read": (
        [write("products.csv", csv(PRODUCT | {"sku": [""] * PRODUCTS}))],
        {},
        r"products.csv: none of its first 12 rows can be used \(12 rows of items: missing item_id \(.*line 2\)\)",
    ),
    "users whom nobody is": (
        [write("users.csv", NUMBERED_USERS)],
        {"users": USERS},
        r"users.csv: none of its 30 users has an interaction: check `user_id`",
    ),
    "products whom nobody bought": (
        [write("products.csv", csv(PRODUCT | {"sku": [f"q{n}" for n in range(PRODUCTS)]}))],
        {},
        r"150 rows of interactions: item is not in the catalogue \(events.csv, line 2: item 'p0' is not in",
    ),
    "a number that is none": (
        [],
        {"items": {"features": {"price": {"kind": "number", "column": "category"}}}},
        r"data.items.features.price: no row has a value that can be read",
    ),
    "two rows a user": (
        [write("events.csv", csv(events(customer=[f"u{n // 2}" for n in range(ROWS)])))],
        {},
        r"leaves no eval interactions of 150: users have 2.0 on average.*set split.kind: global_temporal",
    ),
    "one row a user": (
        [write("events.csv", csv(events(customer=[f"u{n}" for n in range(ROWS)])))],
        {},
        r"users have 1.0 on average.*set split.kind: global_temporal",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_in_one_line_that_says_what_would_do(tmp_path, case):
    files, sections, message = REFUSED[case]
    for make in files:
        make(tmp_path)
    with pytest.raises(UserError, match=message) as error:
        read(shop(tmp_path, **sections))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", ["two rows a user", "one row a user"])
def test_the_split_that_is_named_fits(tmp_path, case):
    files, sections, _ = REFUSED[case]
    for make in files:
        make(tmp_path)
    summary = read(shop(tmp_path, **sections), ("split.kind=global_temporal",))
    assert summary["eval"] == 30 and summary["train"] == 120


def test_rows_of_the_same_day_are_merged_and_not_broken(tmp_path):
    twice = {name: [*values, *values[:20]] for name, values in EVENTS.items()}
    (tmp_path / "events.csv").write_text(csv(twice))
    summary = read(shop(tmp_path))
    assert summary["tables"]["interactions"] == ALL | {"rows": ROWS + 20, "merged": 20}
    listed = (tmp_path / "read" / "rejected" / "rows.csv").read_text().splitlines()
    assert len(listed) == 21 and listed[1].startswith("interactions,merged,") and "repeats line 2" in listed[1]


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


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"encoding": "utf-8-bom"}, "data.interactions.encoding: there is no encoding 'utf-8-bom'"),
        ({"encoding": "hex"}, "data.interactions.encoding: there is no encoding 'hex'"),
        ({"encoding": "undefined"}, "data.interactions.encoding: there is no encoding 'undefined'"),
        ({"delimiter": ""}, "data.interactions.delimiter: '' cannot stand between fields"),
        ({"delimiter": "\n"}, "data.interactions.delimiter: '\\\\n' cannot stand between fields"),
        ({"delimiter": '"'}, "data.interactions.delimiter: '\"' cannot stand between fields"),
        ({"delimiter": "\\t"}, "data.interactions.delimiter: .* is a backslash and a letter"),
        ({"quoting": "some"}, "data.interactions.quoting: Input should be 'standard' or 'none'"),
        ({"escape": "ab"}, "data.interactions.escape: 'ab' is not one plain character"),
        ({"escape": ";", "delimiter": ";"}, "data.interactions.escape: ';' is the delimiter, too"),
        ({"decimal": ";"}, "data.interactions.decimal: Input should be '.' or ','"),
        ({"timestamp": {"unit": "%Q"}}, "data.interactions.timestamp.unit: '%Q' is no format of strptime"),
        ({"timestamp": {"unit": "%d/%m"}}, "data.interactions.timestamp.unit: '%d/%m' has no year"),
        ({"timestamp": {"unit": "hours"}}, "data.interactions.timestamp.unit: 'hours' is none of s, ms"),
        ({"columns": COLUMNS | {"rating": ""}}, "data.interactions.columns.rating: '' is not a column"),
        ({"positive": []}, "data.interactions.positive: names no kind of events"),
        ({"where": {"stars": {"one_of": []}}}, "data.interactions.where.stars.one_of: List should have at"),
        ({"where": {"stars": {"above": "NaN"}}}, "data.interactions.where.stars.above: Input should be a finite"),
        ({"file": ""}, "data.interactions.file: String should have at least 1 character"),
    ],
)
def test_a_value_of_the_layout_that_cannot_be_names_its_key(tmp_path, section, message):
    with pytest.raises(UserError, match=message):
        read(shop(tmp_path, interactions=section))


def test_a_separator_of_tags_is_checked_too(tmp_path):
    features = {"category": {"kind": "tags", "separator": "\\t"}}
    with pytest.raises(UserError, match=r"data.items.features.category.separator: .* is a backslash and a letter"):
        read(shop(tmp_path, items={"features": features}))


def test_a_name_is_made_of_that_of_a_file(tmp_path):
    path = shop(tmp_path).rename(tmp_path / "my (new) shöp.yaml")
    assert load_config(str(path)).name == "my-new-sh-p"
