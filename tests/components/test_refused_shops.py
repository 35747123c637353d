"""Files and layouts that cannot work: each is refused in one line that says what would do."""

import decimal
import gzip

import pytest

from models.errors import UserError
from pipeline.config import load_config
from tests.components.shops import (
    COLUMNS,
    EVENTS,
    FIRST,
    NUMBERED_USERS,
    PARQUET,
    PRODUCT,
    PRODUCTS,
    ROWS,
    SECOND,
    TSV,
    USERS,
    at,
    columns,
    csv,
    events,
    events_in,
    read,
    rows_of,
    shop,
    tsv,
    write,
    write_parquet,
)

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
        r"events.parquet has no column 'user.name'; it has customer, sku, stars, time, user.id. Correct `user_id` of "
        r"the table, perhaps to user.id$",
    ),
    "a part with other columns": (
        [write("part-0.csv", csv(FIRST)), write("part-1.csv", csv(SECOND).replace("customer", "CUSTOMER"))],
        {"interactions": {"file": "part-*.csv"}},
        r"part-1.csv, line 1: no column 'customer'; the header has CUSTOMER, sku, stars, time. Correct `user_id` of "
        r"the table, perhaps to CUSTOMER$",
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
