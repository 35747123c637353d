"""Rows of every supported layout, and what is said of those that cannot be read."""

import datetime
import gzip

import pyarrow
import pyarrow.parquet
import pytest

from components.tables import blocks, reading
from components.tables.files import table_files
from components.tables.settings import EntityTable, InteractionTable, Table
from models.errors import UserError
from pipeline.config import load_config

RATINGS = load_config("movielens-csv").data.interactions
GOOD = {"user_id": "1", "item_id": "2", "rating": "3.5", "timestamp": "100"}


def rows_of(path, table):
    """The whole rows as pairs of line and values, and the broken ones as pairs of line and reason."""
    whole, broken = [], []
    for rows in reading.read_rows(str(path), table):
        values = pyarrow.RecordBatch.from_pydict(rows.columns).to_pylist()
        whole += zip(rows.lines.tolist(), values, strict=True)
        broken += [(row.line, row.reason) for row in rows.broken]
    return whole, broken


def read(tmp_path, text, table, encoding="utf-8"):
    path = tmp_path / "file"
    path.write_bytes(text.encode(encoding))
    return rows_of(path, table)


def test_csv_rows_carry_their_line_numbers_past_blank_and_quoted_lines(tmp_path):
    table = Table(file="rows.csv", columns={"item_id": "id", "title": "name"})
    rows, _ = read(tmp_path, 'id,name\n1,"two\nlines, one field"\n\n2,plain\n', table)
    assert [(line, values["title"]) for line, values in rows] == [(3, "two\nlines, one field"), (5, "plain")]
    rows, _ = read(tmp_path, "id,name\r\n1, a \r\n\r\n2,", table)
    assert rows == [(2, {"item_id": "1", "title": "a"}), (4, {"item_id": "2", "title": ""})]


def test_a_row_with_too_few_or_too_many_fields_says_so(tmp_path):
    rows, broken = read(tmp_path, "userId,movieId,rating,timestamp\n1,2,3\n1,2,3,4,5\n1,2,3.5,100\n", RATINGS)
    assert broken == [(2, "3 fields instead of 4"), (3, "5 fields instead of 4")]
    assert rows == [(4, GOOD)]


def test_a_missing_column_names_line_column_and_what_is_there(tmp_path):
    with pytest.raises(
        UserError,
        match=r"line 1: no column 'rating'; the header has userId, movieId, stars, timestamp. Correct `rating` of the ",
    ):
        read(tmp_path, "userId,movieId,stars,timestamp\n1,2,3,4\n", RATINGS)


def test_byte_order_mark_before_the_header_is_not_part_of_it(tmp_path):
    assert read(tmp_path, "\ufeffuserId,movieId,rating,timestamp\n1,2,3.5,100\n", RATINGS) == ([(2, GOOD)], [])


def test_movielens_1m_separates_by_two_colons(tmp_path):
    table = load_config("movielens-dat").data.items
    rows, _ = read(tmp_path, '1::Amélie: the "film"::Comedy|Drama\n', table, "latin-1")
    assert rows == [(1, {"item_id": "1", "title": 'Amélie: the "film"', "genres": "Comedy|Drama"})]


@pytest.mark.parametrize(
    ("name", "format", "delimiter"),
    [
        ("a.csv", "csv", ","),
        ("a.tsv", "csv", "\t"),
        ("a.tsv.gz", "csv", "\t"),
        ("u.data", "csv", ","),
        ("a.parquet", "parquet", ","),
    ],
)
def test_the_ending_of_a_file_says_how_it_is_stored(name, format, delimiter):
    table = Table(file="whatever", columns={})
    assert (table.format_of(name), table.delimiter_of(name)) == (format, delimiter)


@pytest.mark.parametrize("size", [1, 30, 2**23])
def test_a_packed_file_has_the_rows_and_lines_of_the_file_itself(tmp_path, monkeypatch, size):
    monkeypatch.setattr(blocks, "_BYTES", size)
    text = "userId,movieId,rating,timestamp\n" + "".join(f'{n},"a\n{n}",4,{n}\n{n}\n' for n in range(9))
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(text.encode()))
    table = RATINGS.model_copy(update={"file": "rows.csv.gz"})
    assert len(list(blocks.blocks(str(tmp_path / "rows.csv.gz"), table))) == 1
    packed = rows_of(tmp_path / "rows.csv.gz", table)
    assert packed == read(tmp_path, text, RATINGS)
    assert [line for line, _ in packed[0]] == [*range(3, 30, 3)]


# Named, and with a fixed time in its head: workers that run tests side by side have to find the same ones.
CUT_OFF = gzip.compress(b"userId\n" * 1000, mtime=0)[:-9]


@pytest.mark.parametrize("content", [b"userId,movieId\n", CUT_OFF], ids=["not packed", "cut off"])
def test_a_packed_file_that_is_none_or_not_whole_says_so(tmp_path, content):
    (tmp_path / "rows.csv.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"rows.csv.gz is not a whole gzip file"):
        rows_of(tmp_path / "rows.csv.gz", Table(file="rows.csv.gz", columns={"user_id": "userId"}))


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", None])
def test_parquet_takes_numbers_and_timestamps(tmp_path, zone):
    moment = datetime.datetime(2001, 9, 9, 1, 46, 40)
    moments = pyarrow.array([moment, None], pyarrow.timestamp("ns", zone))
    columns = {"who": [7, 8], "what": ["a", None], "stars": [4.5, None], "at": moments, "device": ["x", None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "events.parquet")
    context = {"device": {"kind": "category"}, "day": {"kind": "number", "column": "at"}}
    mapping = {"user_id": "who", "item_id": "what", "rating": "stars", "timestamp": "at"}
    table = InteractionTable(file="events.parquet", columns=mapping, context=context)
    (rows,) = reading.read_rows(str(tmp_path / "events.parquet"), table)
    times = rows.columns.pop("timestamp")
    assert times.type == pyarrow.timestamp("s", zone)
    assert times.cast(pyarrow.int64()).to_pylist() == [1_000_000_000, None]
    assert [*zip(*(column.to_pylist() for column in rows.columns.values()), strict=True)] == [
        ("7", "a", 4.5, "x", 1_000_000_000),
        ("8", "", None, "", None),
    ]


def test_parquet_takes_bytes_flags_and_lists(tmp_path):
    path = tmp_path / "items.parquet"
    columns = {"sku": [b"a", b"\xff"], "kinds": [["x", "y|z"], []], "sale": [True, False], "image": [[0.5, -1.0], None]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    features = {
        "kinds": {"kind": "tags", "separator": ","},
        "sale": {"kind": "tags", "flags": {"Sale": "sale"}},
        "image": {"kind": "vector"},
    }
    table = EntityTable(file="items.parquet", columns={"item_id": "sku"}, features=features)
    rows, broken = rows_of(path, table)
    assert rows == [(1, {"item_id": "a", "kinds": ["x", "y|z"], "sale:Sale": "1", "image": [0.5, -1.0]})]
    assert len(broken) == 1 and broken[0][1].startswith("not UTF-8")


@pytest.mark.parametrize("size", [1, 30, 60])
def test_blocks_hold_every_row_once_with_its_line(tmp_path, monkeypatch, size):
    table = Table(file="rows.csv", columns={"user_id": "who", "title": "what"})
    text = "who,what\n" + "".join(f'{n},"a ""{n}"",\nnext line"\n{n},plain\n\n' for n in range(9)) + "9,no end"
    whole = read(tmp_path, text, table)
    lines, values = zip(*whole[0], strict=True)
    assert lines[:4] == (3, 4, 7, 8)
    assert (lines[-1], values[-1]["title"], len(lines)) == (38, "no end", 19)
    monkeypatch.setattr(blocks, "_BYTES", size)
    assert len(list(blocks.blocks(str(tmp_path / "file"), table))) > 3
    assert rows_of(tmp_path / "file", table) == whole


def test_a_stray_quote_does_not_take_in_the_rest_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    path.write_text('who\n"1\n' + "2\n" * 100)
    monkeypatch.setattr(blocks, "_BYTES", 10)
    monkeypatch.setattr(blocks, "_QUOTED", 20)
    table = Table(file="rows.csv", columns={"user_id": "who"})
    first, second, *_ = blocks.blocks(str(path), table)
    assert (first.start, first.end, second.line) == (4, 43, 20)
    with pytest.raises(UserError, match=r"line 2: not valid CSV: a quote opens in the row that begins here"):
        rows_of(path, table)


def test_row_groups_of_parquet_are_blocks(tmp_path):
    path = tmp_path / "rows.parquet"
    table = Table(file="rows.csv", format="parquet", columns={"user_id": "who"})
    for users, parts in ((list("abcde"), 3), ([], 1)):
        pyarrow.parquet.write_table(pyarrow.table({"who": pyarrow.array(users, "string")}), path, row_group_size=2)
        assert len(list(blocks.blocks(str(path), table))) == parts
        assert rows_of(path, table)[0] == [(line, {"user_id": user}) for line, user in enumerate(users, 1)]


def test_a_directory_may_have_the_characters_of_patterns(tmp_path):
    directory = tmp_path / "shop [2024]"
    directory.mkdir()
    (directory / "a.csv").write_text("x")
    assert table_files(str(directory), Table(file="*.csv", columns={})) == [str(directory / "a.csv")]


def test_a_stray_quote_names_its_line(tmp_path):
    with pytest.raises(UserError, match=r"line 3: not valid CSV: a field goes on after its closing quote"):
        read(tmp_path, 'userId,movieId\n1,2\n3,"4"5\n', Table(file="rows.csv", columns={"user_id": "userId"}))


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_may_be_longer_than_what_is_read_for_it_first(tmp_path, packed):
    names = [f"column {number}" for number in range(20_000)]
    text = ",".join(names) + "\n" + ",".join(["x"] * len(names)) + "\n"
    path = tmp_path / ("rows.csv.gz" if packed else "rows.csv")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    table = Table(file="rows.csv", columns={"user_id": names[-1]})
    assert rows_of(path, table) == ([(2, {"user_id": "x"})], [])
