"""Data in an object store is read exactly as from a disk."""

import gzip

import fsspec
import pyarrow
import pyarrow.parquet
import pytest

from components.tables import reading
from components.tables.files import table_files
from components.tables.settings import Table
from models.errors import UserError
from pipeline.config import load_config
from pipeline.data import checks, editions
from tests.components.tables.test_reading import rows_of

DAT = "1::Amélie: the film::Comedy|Drama\r\n2::Plain::Drama\n"
CSV = 'movieId,title,genres\r\n1,"two\r\nlines, one field",Drama\r\n\r\n2,B,Comedy\r\n'
RATINGS = "userId,movieId,rating,timestamp\n1,1,4,100\n2,2,3,200\n"


def put(address, content):
    with fsspec.open(address, "wb") as file:
        file.write(content)


def same_rows(tmp_path, store, name, content, table):
    (tmp_path / name).write_bytes(content)
    put(f"{store}/rows/{name}", content)
    local, remote = (rows_of(f"{base}/{name}", table) for base in (tmp_path, f"{store}/rows"))
    assert local == remote
    return remote[0]


def test_encodings_and_ends_of_lines_are_kept(tmp_path, store):
    table = load_config("movielens-dat").data.items
    rows = same_rows(tmp_path, store, "movies.dat", DAT.encode("latin-1"), table)
    assert [values["title"] for _, values in rows] == ["Amélie: the film", "Plain"]
    table = load_config("movielens-csv").data.items
    rows = same_rows(tmp_path, store, "movies.csv", CSV.encode(), table)
    assert [(line, values["title"]) for line, values in rows] == [(3, "two\r\nlines, one field"), (5, "B")]
    packed = table.model_copy(update={"file": "movies.csv.gz"})
    assert same_rows(tmp_path, store, "movies.csv.gz", gzip.compress(CSV.encode()), packed) == rows


def test_a_wrong_encoding_names_the_address(store):
    put(f"{store}/wrong/movies.csv", "movieId,title,genres\n1,Amélie,\n".encode("latin-1"))
    with pytest.raises(UserError, match=f"{store}/wrong/movies.csv, line 2: not utf-8"):
        list(reading.read_rows(f"{store}/wrong/movies.csv", load_config("movielens-csv").data.items))


def test_parquet_is_read(tmp_path, store):
    pyarrow.parquet.write_table(pyarrow.table({"id": ["a", "b"]}), tmp_path / "x")
    table = Table(file="rows", format="parquet", columns={"item_id": "id"})
    rows = same_rows(tmp_path, store, "x.parquet", (tmp_path / "x").read_bytes(), table)
    assert [values["item_id"] for _, values in rows] == ["a", "b"]


def test_a_bucket_is_recognised_checked_and_fingerprinted_as_a_directory_is(tmp_path, store):
    for name, content in {"ratings.csv": RATINGS, "movies.csv": CSV}.items():
        (tmp_path / name).write_bytes(content.encode())
        put(f"{store}/data/{name}", content.encode())
    layout, directory = editions.resolve_data(f"{store}/data/")
    assert (layout, directory) == ("movielens-csv", f"{store}/data")
    local, remote = (load_config(layout, data__directory=str(path)) for path in (tmp_path, directory))
    assert remote.data.directory == directory
    checks.check(remote)
    assert checks.fingerprint(remote) == checks.fingerprint(local)


def test_a_pattern_stays_within_its_directory(store):
    for name in ("b.csv", "a.csv", "deeper/c.csv"):
        put(f"{store}/many/{name}", b"x")
    table = Table(file="*.csv", columns={"item_id": "id"})
    assert table_files(f"{store}/many", table) == [f"{store}/many/a.csv", f"{store}/many/b.csv"]


def test_a_missing_file_and_a_store_that_is_not_known_say_so(store):
    with pytest.raises(UserError, match=f"{store}/nothing/movies.csv: no such file"):
        checks.check(load_config("movielens-csv", data__directory=f"{store}/nothing"))
    with pytest.raises(UserError, match=r"s4://x/movies.csv cannot be read .*docs/object-stores.md"):
        checks.check(load_config("movielens-csv", data__directory="s4://x"))
