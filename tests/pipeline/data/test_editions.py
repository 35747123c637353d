"""What is recognised, and what stops a run before it starts."""

import gzip

import pytest
import requests

from models.errors import UserError
from pipeline.config import load_config
from pipeline.data import checks, editions

RATINGS = "userId,movieId,rating,timestamp\n1,1,4,100\n2,2,3,200\n"
ITEMS = "movieId,title,genres\n1,A,Drama\n2,B,Comedy\n"


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "movies.csv").write_text(ITEMS)
    return tmp_path


def check(directory, *overrides):
    checks.check(load_config("movielens-csv", overrides, data__directory=str(directory)))


def test_good_data_passes(directory):
    check(directory)


def test_packed_data_without_a_table_of_items_passes(directory):
    (directory / "ratings.csv.gz").write_bytes(gzip.compress(RATINGS.encode()))
    for name in ("ratings.csv", "movies.csv"):
        (directory / name).unlink()
    check(directory, "data.items=null", "data.interactions.file=ratings.csv.gz")


def test_data_of_which_all_is_left_out_says_why(directory):
    with pytest.raises(
        UserError, match=r"none of its first 2 rows can be used \(2 rows left out: rating is not above 4"
    ):
        check(directory, "data.interactions.where={rating: {above: 4}}")


def test_users_have_features_only_where_their_table_is_there(directory):
    config = load_config("movielens-dat", data__directory=str(directory))
    assert not checks.features(config).users
    (directory / "users.dat").touch()
    assert [*checks.features(config).users] == ["gender", "age", "occupation", "zip_code"]


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["ratings.csv", "movies.csv"], "movielens-csv"),
        (["u.data", "u.item", "u.user"], "movielens-100k"),
        (["ratings.dat", "movies.dat"], "movielens-dat"),
    ],
)
def test_layouts_are_recognised_by_their_files(tmp_path, files, layout):
    for name in files:
        (tmp_path / name).touch()
    assert editions.recognise(str(tmp_path)) == layout


def test_a_directory_without_known_files_names_those_that_are_known(tmp_path):
    with pytest.raises(UserError, match=r"ratings.csv and movies.csv.*--config"):
        editions.recognise(str(tmp_path))


def test_a_name_that_is_nothing_lists_the_editions():
    with pytest.raises(UserError, match=r"no-such-thing: no such directory, and not one of ml-latest-small"):
        editions.resolve_data("no-such-thing")


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_a_missing_file_is_named(directory, name):
    (directory / name).unlink()
    with pytest.raises(UserError, match=f"{name}: no such file"):
        check(directory)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ratings.csv has no rows: it has to hold the interactions table"),
        ("userId,movieId,rating,timestamp\n", "ratings.csv has no rows"),
        ("user,movieId,rating,timestamp\n1,1,4,100\n", "no column 'userId'"),
        ("userId,movieId,rating,timestamp\n1,1,4,100\n1,2,4,100\n", "interactions of only one user"),
        ("userId,movieId,rating,timestamp\n1,1,4,100\n2,1,4,100\n", "interactions of only one item"),
        (
            "userId,movieId,rating,timestamp\n1,1,x,100\n",
            "none of its first 1 rows can be used .1 row of interactions: rating is not a number .*line 2: rating 'x'",
        ),
    ],
)
def test_interactions_that_cannot_work_are_refused(directory, text, message):
    (directory / "ratings.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        check(directory)


def test_the_fingerprint_follows_the_content(directory):
    config = load_config("movielens-csv", data__directory=str(directory))
    before = checks.fingerprint(config)
    assert checks.fingerprint(config) == before
    (directory / "movies.csv").write_text(ITEMS.replace("Drama", "drama"))
    assert checks.fingerprint(config) != before


def test_a_download_without_network_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # Nothing listens there.
    with pytest.raises(UserError, match=r"cannot download .*ml-100k.zip .*--data DIR") as error:
        editions.download("ml-100k")
    assert isinstance(error.value.__cause__, requests.ConnectionError)
    assert not list((tmp_path / "recommender").iterdir()), "nothing half-made is left"
