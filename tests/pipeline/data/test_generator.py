"""The built-in data: the same every time, valid, and with a structure that popularity does not hold."""

import collections
import csv

from pipeline.config import load_config
from pipeline.data import checks
from pipeline.data.generator import write_generated
from pipeline.data.settings import Generated

SIZE = Generated(users=60, items=120, interactions=2000)


def test_the_same_size_and_seed_give_the_same_files(tmp_path):
    for name in ("a", "b"):
        write_generated(SIZE, str(tmp_path / name))
    for file in ("ratings.csv", "movies.csv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_it_is_valid_data_without_duplicates(tmp_path):
    write_generated(SIZE, str(tmp_path / "data"))
    checks.check(load_config("demo", data__directory=str(tmp_path / "data")))
    with (tmp_path / "data" / "ratings.csv").open() as file:
        pairs = [(row["userId"], row["movieId"]) for row in csv.DictReader(file)]
    assert len(set(pairs)) == len(pairs)
    assert len({user for user, _ in pairs}) == SIZE.users


def test_users_stay_near_their_genres(tmp_path):
    write_generated(SIZE, str(tmp_path / "data"))
    with (tmp_path / "data" / "movies.csv").open() as file:
        main_genre = {row["movieId"]: row["genres"].split("|")[0] for row in csv.DictReader(file)}
    seen = collections.defaultdict(collections.Counter)
    with (tmp_path / "data" / "ratings.csv").open() as file:
        for row in csv.DictReader(file):
            seen[row["userId"]][main_genre[row["movieId"]]] += 1
    concentration = [max(tags.values()) / sum(tags.values()) for tags in seen.values()]
    assert sum(concentration) / len(concentration) > 3 / len(set(main_genre.values()))
