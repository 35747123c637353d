"""What is simple against references of a few lines, and which eval rows are asked about."""

import re

import numpy as np
import pytest

from components.evaluator import baselines, shards
from components.evaluator.baselines import WINDOWS, Interactions
from components.tables.shards import file_name, shard_of
from models.catalogue import Catalogue
from models.features.feature_set import FeatureSet
from models.features.kinds import Feature, Overlap, Timestamp
from tests.models.conftest import write, write_timelines

DAY = 86_400
ITEMS = 15


def interactions(rng, users, rows, first_day, last_day):
    """Random ones, some of them of the same second: items that are often had come first in the catalogue."""
    user = np.sort(rng.integers(users, size=rows))
    time = rng.integers(first_day, last_day, size=rows) * DAY
    item = np.minimum(rng.exponential(4, size=rows).astype(int), ITEMS - 1)
    order = np.lexsort((time, user))
    return Interactions(user, item[order], time[order])


@pytest.fixture
def train():
    return interactions(np.random.default_rng(0), 10, 250, 100, 500)


@pytest.fixture
def asked():
    """Some are of users without a train row, and some from after the end of train."""
    return interactions(np.random.default_rng(1), 14, 60, 50, 600)


def middle_rank(scores, item, without=()):
    """Of the items that are left, those with a higher score, and half of the others with the same one."""
    others = [scores[other] for other in range(len(scores)) if other != item and other not in without]
    return np.inf if item in without else 1 + sum(s > scores[item] for s in others) + others.count(scores[item]) / 2


def had_by(train, user):
    return train.item[train.user == user].tolist()


def counted(items):
    return np.bincount(items, minlength=ITEMS).tolist()


def recent_counts(train, moment, days):
    """Of the days before the moment's own, or before the end of train."""
    day = min(moment // DAY, train.time.max() // DAY + 1)
    return counted(train.item[(train.time // DAY < day) & (train.time // DAY >= day - days)])


def test_popularity_ranks_by_all_train_rows(train, asked):
    counts = counted(train.item)
    ranks, _ = baselines.rank(train, asked, ITEMS, repeats=False, k=3)
    filtered = [
        middle_rank(counts, item, had_by(train, user)) for user, item in zip(asked.user, asked.item, strict=True)
    ]
    assert ranks.unfiltered.tolist() == [middle_rank(counts, item) for item in asked.item]
    assert ranks.popularity.tolist() == filtered
    assert np.isinf(filtered).any() and not np.isinf(filtered).all()
    assert ranks.own_history is None


@pytest.mark.parametrize("repeats", [False, True])
def test_recent_popularity_ranks_by_the_days_before_the_query(train, asked, repeats):
    ranks, days = baselines.rank(train, asked, ITEMS, repeats, k=3)
    expected = [
        middle_rank(recent_counts(train, time, days), item, () if repeats else had_by(train, user))
        for user, item, time in zip(*asked, strict=True)
    ]
    assert ranks.recent_popularity.tolist() == expected


def test_recent_popularity_counts_the_days_that_find_most_of_the_latest_train_rows(train, asked):
    latest = np.argsort(train.time, kind="stable")[-(len(train.time) // 5 + 1) :]
    hits = {
        days: sum(middle_rank(recent_counts(train, train.time[row], days), train.item[row]) <= 3 for row in latest)
        for days in WINDOWS
    }
    assert len({*hits.values()}) > 1
    assert baselines.rank(train, asked, ITEMS, repeats=False, k=3)[1] == max(hits, key=hits.get)


def test_own_history_ranks_by_count_then_by_the_last_time_then_by_popularity(train, asked):
    counts = counted(train.item)
    ranks, _ = baselines.rank(train, asked, ITEMS, repeats=True, k=3)
    expected = []
    for user, item in zip(asked.user, asked.item, strict=True):
        own = had_by(train, user)
        last = {one: train.time[(train.user == user) & (train.item == one)].max() for one in own}
        keys = {one: (own.count(one), last[one]) for one in last}
        if item in keys:
            values = [*keys.values()]
            above = sum(key > keys[item] for key in values)
            expected.append(above + (values.count(keys[item]) + 1) / 2)
        else:
            expected.append(len(last) + middle_rank(counts, item, last))
    assert ranks.own_history.tolist() == expected
    assert ranks.popularity.tolist() == ranks.unfiltered.tolist(), "what a user had is left in"


COLUMNS = {"item_id": Overlap(), "timestamp": Timestamp(), "overlap": Overlap()}
USERS = [f"u{n}" for n in range(100)]
CATALOGUE = Catalogue(np.array([b"a", b"b", b"c"]), np.array([b"A", b"B", b"C"]), {})

HIDDEN = np.zeros(3, bool)


def write_split(directory, files, asked):
    """Raw and transformed examples: in train everybody had a, and the even ones b; all are asked about b and then c."""
    split = shards.Split(*(str(directory / name) for name in ("raw", "transformed")))
    features = FeatureSet(rated=False)
    columns = COLUMNS | ({"item_key": Feature()} if asked else {})
    for number in range(files):
        raw, transformed = [], []
        for place, user in enumerate(USERS):
            if shard_of(user, files) == number:
                items = "bc" if asked else "ab" if place % 2 == 0 else "a"
                times = [1_000 * (2 * asked + n + 1) for n in range(len(items))]
                raw.append({"user_id": user, "rows": [*zip(items, times, strict=True)]})
                indices = ["abc".index(item) for item in items]
                transformed.append({"item_id": indices, "timestamp": times, "overlap": 0, "item_key": [*items]})
        name = file_name(number, files)
        write_timelines(directory / "raw" / name, raw, features)
        write(directory / "transformed" / name, transformed, columns, {*columns} - {"overlap"})
    return split


@pytest.fixture
def load(tmp_path):
    """Reads what is asked about where the examples are in so many files."""

    def load(files, max_queries, repeats=False, hidden=HIDDEN):
        train, held_out = (
            write_split(tmp_path / f"{name}-{files}", files, asked=name == "eval") for name in ("train", "eval")
        )
        return shards.load(train, held_out, CATALOGUE, hidden, repeats, max_queries, k=1)

    return load


def users_of(loaded):
    """By user, the places of its rows that are asked about."""
    found = {}
    for shard in loaded.shards:
        number, files = map(int, re.search(r"-(\d+)-of-(\d+)\.gz$", shard.eval).groups())
        own = [user for user in USERS if shard_of(user, files) == number]
        for row in shard.rows:
            found.setdefault(own[row // 2], []).append(row % 2)
    return found


def test_all_rows_are_asked_about_where_there_are_no_more_than_may_be(load):
    assert users_of(load(files=3, max_queries=200)) == {user: [0, 1] for user in USERS}


def test_max_queries_chooses_whole_users_by_a_hash_of_their_ids(load):
    some, more = (users_of(load(files=3, max_queries=most)) for most in (60, 120))
    assert 20 <= len(some) <= 40 and 45 <= len(more) <= 75, "about a share of them"
    assert some.keys() < more.keys()
    assert all(rows == [0, 1] for rows in more.values())
    assert users_of(load(files=8, max_queries=60)) == some, "whatever the files"


def test_one_user_is_asked_about_at_the_least(load):
    assert len(users_of(load(files=3, max_queries=1))) >= 1


def test_a_shard_has_the_ranks_of_its_own_rows(load):
    loaded = load(files=3, max_queries=120)
    assert loaded.item_counts.tolist() == [100, 50, 0]
    for shard in loaded.shards:
        assert shard.train.partition("data_")[2] == shard.eval.partition("data_")[2]
        assert {len(ranks) for ranks in shard.ranks if ranks is not None} == {len(shard.rows)}
        assert shard.ranks.unfiltered.tolist() == [2, 3] * (len(shard.rows) // 2)
        of_both = map(tuple, shard.ranks.popularity.reshape(-1, 2).tolist())
        assert {*of_both} == {(np.inf, 1), (1, 2)}, "b is left out for those who had it"
    repeated = load(files=2, max_queries=200, repeats=True).shards[0].ranks
    assert repeated.popularity.tolist() == repeated.unfiltered.tolist()
    of_both = map(tuple, repeated.own_history.reshape(-1, 2).tolist())
    assert {*of_both} == {(1, 3), (2, 3)}, "b is the latest of those who had it, and else comes behind a"


def test_what_is_never_recommended_is_not_asked_about_nor_among_a_baselines_items(load):
    loaded = load(files=2, max_queries=200, repeats=True, hidden=np.array([True, False, True]))
    assert loaded.item_counts.tolist() == [100, 50, 0], "which the slices count"
    assert users_of(loaded) == {user: [0] for user in USERS}, "c is not asked about"
    for shard in loaded.shards:
        assert {*shard.ranks.popularity.tolist()} == {*shard.ranks.own_history.tolist()} == {1}, "a is not before b"
