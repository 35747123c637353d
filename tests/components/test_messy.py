"""Generated messy tables, and files that were damaged: no row vanishes, and no error has a traceback."""

import collections
import csv
import gzip
import io
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.tables import parsing
from components.tables.files import table_files
from components.tables.look import look
from components.tables.reading import read_rows
from components.tables.settings import EntityTable, InteractionTable
from models.errors import UserError
from models.features.texts import BLANKS
from tests.components.shops import COLUMNS, EVENTS, PRODUCT, ROWS, parquet, read, shop
from tests.components.shops import csv as as_csv

OUTCOMES = ("accepted", "merged", "left_out", "rejected")
FIELDS = {
    "customer": ["u1", " u1", "u2\u00a0", "", "new", 'a "b"', "two\nlines", "7.0"],
    "sku": ["p1", "p2", "\u3000p2 ", "p99", ""],
    "stars": ["3", "4.5", "0", "-1", "x", ""],
    "time": ["1600000000", "1600000000.9", "soon", "", "-5", "99999999999999"],
}
ODD_ROWS = [["u1"], ["u1", "p1", "3", "1600000000", "more"]]
MESSY = st.lists(st.one_of(st.tuples(*map(st.sampled_from, FIELDS.values())), st.sampled_from(ODD_ROWS)), max_size=30)
PRODUCTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["p1", " p1", "q1", "q1\t", ""]), st.just("Thing"), st.just("x")), st.just(("p1",))
    ),
    max_size=10,
)


def written(table, more):
    text = io.StringIO()
    csv.writer(text).writerows([*csv.reader(io.StringIO(as_csv(table))), *more])
    return text.getvalue()


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def outcome(row, seen, items):
    """What should become of an interaction, by the rules in plain words."""
    if len(row) != 4:
        return "rejected"
    user, item, stars, time = (field.strip(BLANKS) for field in row)
    if stars and number(stars) is None:
        return "rejected"
    if not stars or number(stars) <= 0:
        return "left_out"
    if not (user and item and time) or number(time) is None or not 1 <= number(time) < 32_503_680_000:
        return "rejected"
    if item not in items:
        return "rejected"
    key = user, item, int(number(time))
    if key in seen:
        return "merged"
    seen.add(key)
    return "accepted"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(MESSY, PRODUCTS)
def test_every_row_is_accepted_merged_left_out_or_rejected(messy, products):
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "events.csv").write_text(written(EVENTS, messy))
        (directory / "products.csv").write_text(written(PRODUCT, products))
        path = shop(directory, interactions={"where": {"stars": {"above": 0}}})
        tables = read(path, ("data.max_rejected_share=1",))["tables"]

    ids = [row[0].strip(BLANKS) for row in products if len(row) == 3]
    items = {*PRODUCT["sku"], *ids} - {""}
    rejected = sum(len(row) != 3 or not row[0].strip(BLANKS) for row in products)
    assert tables["items"] == {
        "rows": 12 + len(products),
        "accepted": len(items),
        "merged": 12 + len(products) - len(items) - rejected,
        "left_out": 0,
        "rejected": rejected,
    }
    seen = set(zip(EVENTS["customer"], EVENTS["sku"], EVENTS["time"], strict=True))
    expected = collections.Counter(outcome(row, seen, items) for row in messy)
    found = tables["interactions"]
    assert {name: found[name] for name in OUTCOMES} == {
        name: expected[name] + (ROWS if name == "accepted" else 0) for name in OUTCOMES
    }
    assert found["rows"] == sum(found[name] for name in OUTCOMES) == ROWS + len(messy)


SPECIAL = [
    b'"',
    b'""',
    b",",
    b"\n",
    b"\r",
    b"\r\n",
    b";",
    b"\t",
    b"\\",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xc3",
    b" ",
]
SPECIAL += [b"sep=;\n", b"nan", b"1e400", b"-", b".0", b"9" * 400, "é\u00a0".encode(), b'"\n"', b"2020-01-01"]


def damaged(content, random):
    """A few changes somewhere in a file."""
    data = bytearray(content)
    for _ in range(random.integers(1, 6)):
        place, other = sorted(random.integers(0, len(data) + 1, 2))
        kind = random.integers(6)
        if kind == 0:
            data[place:place] = SPECIAL[random.integers(len(SPECIAL))]
        elif kind == 1:
            del data[place : min(other, place + 20)]
        elif kind == 2 and place < len(data):
            data[place] = random.integers(256)
        elif kind == 3:
            data[place:place] = data[place:other][:200]
        elif kind == 4 and random.integers(4) == 0:
            del data[place:]
        elif kind == 5:
            data = data.replace(
                data[place : place + 1], SPECIAL[random.integers(len(SPECIAL))], int(random.integers(9))
            )
    return bytes(data)


def read_through(directory, table, name):
    """Reads a table as the run does; returns how many rows there are, or the one line of an error."""
    try:
        files = table_files(str(directory), table)
        seen = look(files, table)
        rows = accepted = left_out = rejected = 0
        for part in (part for file in files for part in read_rows(file, seen.table, seen.numeric)):
            parsed = parsing.parse(name, part, seen.table)
            rows += len(part.lines) + len(part.broken)
            accepted += len(parsed.rows)
            left_out += sum(parsed.left_out.values())
            rejected += len(parsed.rejected)
    except UserError as error:
        return str(error)
    assert rows == accepted + left_out + rejected
    return rows


LAYOUTS = [{}, {"quoting": "none"}, {"escape": "\\"}, {"encoding": "latin-1"}, {"decimal": ","}, {"encoding": "utf-16"}]
CONTEXT = {"context": {"device": {"kind": "category", "column": "sku"}, "hour": {"kind": "number", "column": "stars"}}}


@pytest.mark.parametrize("kind", ["interactions", "items", "gzip", "parquet"])
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, kind):
    random = np.random.default_rng(2026)
    head = {name: values[:20] for name, values in EVENTS.items()}
    features = {"category": {"kind": "tags"}, "name": {"kind": "vector", "column": "name"}}
    ended = collections.Counter()
    for number in range(2500):
        layout = LAYOUTS[number % len(LAYOUTS)]
        encoding = layout.get("encoding", "utf-8")
        if kind == "items":
            table = EntityTable(file="f.csv", columns={"item_id": "sku"}, features=features, **layout)
            content = as_csv(PRODUCT, quoted=number % 2 == 0).encode(encoding)
        elif kind == "parquet":
            table = InteractionTable(file="f.parquet", columns=COLUMNS, **CONTEXT)
            if number == 0:
                parquet(tmp_path / "f.parquet", head)
                whole = (tmp_path / "f.parquet").read_bytes()
            content = whole
        else:
            table = InteractionTable(
                file="f.csv.gz" if kind == "gzip" else "f.csv", columns=COLUMNS, **CONTEXT, **layout
            )
            content = as_csv(head, quoted=number % 3 == 0).encode(encoding)
        content = damaged(content, random)
        if kind == "gzip":
            content = gzip.compress(content, 1)
            content = damaged(content, random) if number % 2 else content
        (tmp_path / table.file).write_bytes(content)
        result = read_through(tmp_path, table, "items" if kind == "items" else "interactions")
        if isinstance(result, str):
            assert "\n" not in result and str(tmp_path / table.file) in result
        ended[type(result)] += 1
    assert ended[int] > 100 and ended[str] > 100, ended
