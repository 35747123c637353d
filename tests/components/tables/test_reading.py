"""Rows of every supported layout, and what is wrong with those that cannot be read."""

import datetime
import time

import pyarrow
import pyarrow.parquet
import pytest

from components.tables import blocks, reading
from components.tables.settings import EntityTable, Table
from models.errors import UserError
from pipeline.config import load_config

RATINGS = load_config("movielens-csv").data.interactions
GOOD = {"user_id": "1", "item_id": "2", "rating": "3.5", "timestamp": "100"}


def read(tmp_path, text, table, encoding="utf-8"):
    path = tmp_path / "file"
    path.write_bytes(text.encode(encoding))
    return list(reading.read_rows(str(path), table))


def test_csv_rows_carry_their_line_numbers_past_blank_and_quoted_lines(tmp_path):
    table = Table(file="", columns={"item_id": "id", "title": "name"})
    rows = read(tmp_path, 'id,name\n1,"two\nlines, one field"\n\n2,plain\n', table)
    assert [(row.line, row.values["title"]) for row in rows] == [(3, "two\nlines, one field"), (5, "plain")]


def test_a_row_with_too_few_or_too_many_fields_says_so(tmp_path):
    rows = read(tmp_path, "userId,movieId,rating,timestamp\n1,2,3\n1,2,3,4,5\n1,2,3,4\n", RATINGS)
    assert [row.error for row in rows] == ["3 fields instead of 4", "5 fields instead of 4", None]


def test_a_missing_column_names_line_column_and_what_is_there(tmp_path):
    with pytest.raises(
        UserError, match=r"line 1: no column 'rating'; the header has userId, movieId, stars, timestamp"
    ):
        read(tmp_path, "userId,movieId,stars,timestamp\n1,2,3,4\n", RATINGS)


def test_byte_order_mark_before_the_header_is_not_part_of_it(tmp_path):
    (row,) = read(tmp_path, "\ufeffuserId,movieId,rating,timestamp\n1,2,3.5,100\n", RATINGS)
    assert row.values == GOOD


def test_movielens_1m_separates_by_two_colons(tmp_path):
    (row,) = read(tmp_path, "1::Amélie: the film::Comedy|Drama\n", load_config("movielens-dat").data.items, "latin-1")
    assert row.values == {"item_id": "1", "title": "Amélie: the film", "genres": "Comedy|Drama"}


def test_movielens_100k_has_a_flag_for_each_genre(tmp_path):
    flags = ["0"] * 19
    flags[1] = flags[5] = "1"  # Action and Comedy; the first flag is "unknown".
    line = "|".join(["7", "Léon (1994)", "1-1-1994", "", "http://", *flags]) + "\n"
    table = load_config("movielens-100k").data.items
    (row,) = read(tmp_path, line, table, "latin-1")
    features = {"title": "Léon (1994)", "genres": ["Action", "Comedy"]}
    assert reading.entity(row.values, table, "item_id") == ("7", features, [])


@pytest.fixture
def in_new_york(monkeypatch):
    """This machine's time zone, which must not matter."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("zone", [datetime.timezone.utc, None])
def test_parquet_takes_lists_and_timestamps(tmp_path, in_new_york, zone):
    moment = datetime.datetime(2001, 9, 9, 1, 46, 40, tzinfo=zone)
    path = tmp_path / "events.parquet"
    columns = {"who": [7], "what": ["a"], "stars": [4.0], "at": [moment], "kinds": [["x", "y"]]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    mapping = {"user_id": "who", "item_id": "what", "rating": "stars", "timestamp": "at"}
    features = {"tags": {"kind": "tags", "column": "kinds"}}
    table = EntityTable(file="", format="parquet", columns=mapping, features=features)
    (row,) = reading.read_rows(str(path), table)
    assert reading.interaction(row.values) == ("7", "a", 4.0, 1_000_000_000)
    assert reading.entity(row.values, table, "item_id").features == {"tags": ["x", "y"]}


def test_parquet_takes_bytes_flags_and_lists_with_the_separator_of_the_feature(tmp_path):
    path = tmp_path / "items.parquet"
    columns = {"sku": [b"a", b"\xff"], "kinds": [["x", "y|z"], []], "sale": [True, False]}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)

    def table(**feature):
        features = {"tags": {"kind": "tags"} | feature}
        return EntityTable(file="", format="parquet", columns={"item_id": "sku"}, features=features)

    listed = table(column="kinds", separator=",")
    good, bad = reading.read_rows(str(path), listed)
    assert reading.entity(good.values, listed, "item_id") == ("a", {"tags": ["x", "y|z"]}, [])
    assert bad.error.startswith("not UTF-8")
    flagged = table(flags={"Sale": "sale"})
    values = next(reading.read_rows(str(path), flagged)).values
    assert reading.entity(values, flagged, "item_id").features == {"tags": ["Sale"]}


@pytest.mark.parametrize("size", [1, 30, 60])
def test_blocks_hold_every_row_once_with_its_line(tmp_path, monkeypatch, size):
    table = Table(file="", columns={"user_id": "who", "title": "what"})
    text = "who,what\n" + "".join(f'{n},"a ""{n}"",\nnext line"\n{n},plain\n\n' for n in range(9)) + "9,no end"
    path = tmp_path / "rows.csv"
    path.write_text(text)
    whole = list(reading.read_rows(str(path), table))
    assert [row.line for row in whole[:4]] == [3, 4, 7, 8]
    assert (whole[-1].line, whole[-1].values["title"], len(whole)) == (38, "no end", 19)
    monkeypatch.setattr(blocks, "_BYTES", size)
    parts = list(blocks.blocks(str(path), table))
    assert len(parts) > 3 and list(reading.read_rows(str(path), table)) == whole


def test_a_stray_quote_does_not_take_in_the_rest_of_the_file(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    path.write_text('who\n"1\n' + "2\n" * 100)
    monkeypatch.setattr(blocks, "_BYTES", 10)
    monkeypatch.setattr(blocks, "_QUOTED", 20)
    table = Table(file="", columns={"user_id": "who"})
    first, second, *_ = blocks.blocks(str(path), table)
    assert (first.end, second.line) == (31, 14)
    with pytest.raises(UserError, match=r"line 14: not valid CSV .*check the quotes"):
        list(reading.read_rows(str(path), table))


def test_row_groups_of_parquet_are_blocks(tmp_path):
    path = tmp_path / "rows.parquet"
    table = Table(file="", format="parquet", columns={"user_id": "who"})
    for users, parts in ((list("abcde"), 3), ([], 1)):
        pyarrow.parquet.write_table(pyarrow.table({"who": pyarrow.array(users, "string")}), path, row_group_size=2)
        assert len(list(blocks.blocks(str(path), table))) == parts
        found = [(row.line, row.values["user_id"]) for row in reading.read_rows(str(path), table)]
        assert found == [*enumerate(users, 1)]


def test_a_directory_may_have_the_characters_of_patterns(tmp_path):
    directory = tmp_path / "shop [2024]"
    directory.mkdir()
    (directory / "a.csv").write_text("x")
    assert reading.table_files(str(directory), Table(file="*.csv", columns={})) == [str(directory / "a.csv")]


def test_a_stray_quote_names_its_line(tmp_path):
    with pytest.raises(UserError, match=r"line 3: not valid CSV .*check the quotes"):
        read(tmp_path, 'userId,movieId\n1,2\n3,"4"5\n', Table(file="", columns={"user_id": "userId"}))


def test_a_number_that_cannot_be_read_is_missing_and_said():
    features = {"age": {"kind": "number"}, "gender": {"kind": "category"}}
    table = EntityTable(file="", columns={"user_id": "id"}, features=features)
    rows = [{"user_id": "7", "age": age, "gender": ""} for age in ("35", "", "old", "nan")]
    read = [reading.entity(row, table, "user_id") for row in rows]
    assert read == [("7", {"age": 35.0}, []), ("7", {}, []), ("7", {}, ["age"]), ("7", {}, ["age"])]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("user_id", "", "missing user_id"),
        ("item_id", "", "missing item_id"),
        ("rating", "good", "rating 'good' is not a number"),
        ("rating", "nan", "rating 'nan' is not a number"),
        ("timestamp", "yesterday", "timestamp 'yesterday' is not a number"),
        ("timestamp", "1.5", "timestamp '1.5' is not a positive whole number of seconds"),
        ("timestamp", "-1", "timestamp '-1' is not a positive whole number of seconds"),
        ("timestamp", "1500000000000", "timestamp '1500000000000' is past the year 3000: it has to be in seconds"),
    ],
)
def test_a_bad_field_gives_its_reason(field, value, reason):
    with pytest.raises(ValueError, match=reason):
        reading.interaction(GOOD | {field: value})


def test_a_good_row_is_parsed():
    assert reading.interaction(GOOD) == ("1", "2", 3.5, 100)


def test_genres_that_mean_none_are_dropped():
    table = load_config("movielens-csv").data.items
    values = {"item_id": "1", "title": "X", "genres": "(no genres listed)"}
    assert reading.entity(values, table, "item_id") == ("1", {"title": "X", "genres": []}, [])
