"""Both ExampleGens, run for real on a few rows: what the examples hold."""

import gzip
import math

import pytest

from components.interaction_gen import timelines
from tests.components.generating import (
    EVENTS,
    RATINGS,
    generate,
    generate_items,
    interactions,
    summary,
    write,
    write_events,
)


def test_a_user_is_one_example_of_parallel_lists_in_each_split(tmp_path):
    write(tmp_path, RATINGS[::-1])
    users = [(b"a", 100, 4.0), (b"b", 50, 3.0)]
    assert generate(tmp_path) == {
        split: [
            {
                "user_id": [user],
                "item_id": [b"%d" % item for item in items],
                "timestamp": [second * item for item in items],
                "rating": [rating] * len(items),
                "overlap": [0],
            }
            for user, second, rating in users
        ]
        for split, items in (("train", [1, 2]), ("eval", [3]))
    }
    counted = {"interactions": 6, "train": 4, "eval": 2, "users": 2, "items": 3, "rejected_rows": 0, "positive": 2}
    assert summary(tmp_path, *counted) == counted
    assert summary(tmp_path, "lowest_rating", "highest_rating") == {"lowest_rating": 3.0, "highest_rating": 4.0}


def test_a_long_timeline_is_cut_and_its_examples_overlap_by_the_history(tmp_path, monkeypatch):
    monkeypatch.setattr(timelines, "LONGEST", 4)
    write(tmp_path, [f"a,{n % 3 + 1},{n % 5},{n + 1}" for n in range(10)])
    splits = generate(tmp_path, **{"split.history_length": 2})
    found = [(row["timestamp"], row["overlap"]) for row in splits["train"]]
    assert found == [([1, 2, 3, 4], [0]), ([3, 4, 5, 6], [2]), ([5, 6, 7, 8], [2])]
    assert interactions(splits) == 10


def test_users_features_join_their_rows(tmp_path):
    write(tmp_path, RATINGS)
    (tmp_path / "users.csv").write_text("id,age,gender\nb,40,\na,20,F\na,21,M\nz,1,M\n")
    users = "{file: users.csv, columns: {user_id: id}, features: {age: {kind: number}, gender: {kind: category}}}"
    splits = generate(tmp_path, **{"data.users": users})
    rows = [row for split in splits.values() for row in split]
    found = {(*row["user_id"], *row["age"], *row.get("gender", [])) for row in rows}
    assert found == {(b"a", 20.0, b"F"), (b"b", 40.0)}


def test_context_stands_beside_each_interaction_with_a_stand_in_where_it_is_missing(tmp_path):
    write_events(tmp_path)
    context = "{device: {kind: category}, hour: {kind: number}}"
    splits = generate(tmp_path, **EVENTS, **{"data.interactions.context": context})
    found = {(split, *row["user_id"]): row for split, rows in splits.items() for row in rows}
    assert found["train", b"a"]["device"] == [b"tv", b""] and found["train", b"a"]["hour"] == [1.0, 2.0]
    assert found["eval", b"a"]["device"] == [b"web"] and found["train", b"b"]["device"] == [b"tv", b"tv"]
    assert math.isnan(found["eval", b"a"]["hour"][0])
    assert math.isnan(found["train", b"b"]["hour"][0]) and found["train", b"b"]["hour"][1] == 3.0
    assert "rating" not in found["train", b"a"] and found["train", b"a"]["event"] == [b"view", b"buy"]
    assert summary(tmp_path, "unreadable") == {"unreadable": {"interactions.hour": 1}}


def test_global_temporal_split_has_only_the_past_in_train(tmp_path):
    write(tmp_path, [f"u{n % 5},{n % 3 + 1},{n % 4 + 2},{3600 * n + 1}" for n in range(20)])
    splits = generate(tmp_path, **{"split.kind": "global_temporal"})
    train, held_out = ([time for row in splits[split] for time in row["timestamp"]] for split in ("train", "eval"))
    assert (len(train), len(held_out)) == (16, 4) and max(train) < min(held_out)


def test_packed_files_give_the_same_examples(tmp_path):
    write(tmp_path, RATINGS)
    plain = generate(tmp_path)
    for name in ("ratings.csv", "movies.csv"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    packed = {"data.interactions.file": "ratings.csv.gz", "data.items.file": "movies.csv.gz"}
    assert generate(tmp_path, **packed) == plain
    assert generate_items(tmp_path, **packed).keys() == {b"1", b"2", b"3"}


@pytest.mark.parametrize(
    ("layout", "time"),
    [("{unit: ms}", "{}999"), ("{unit: '%d.%m.%Y %Hh%S', time_zone: Asia/Tokyo}", "02.01.1970 09h{:02d}")],
)
def test_times_become_seconds_as_the_table_writes_them(tmp_path, layout, time):
    rows = [(user, item, item if "unit: ms" in layout else 86_400 + item) for user in "ab" for item in (1, 2, 3)]
    write(tmp_path, [f"{user},{item},{item + 2},{time.format(item)}" for user, item, _ in rows])
    splits = generate(tmp_path, **{"data.interactions.timestamp": layout})
    found = {(*row["user_id"], second) for split in splits.values() for row in split for second in row["timestamp"]}
    assert found == {(user.encode(), second) for user, _, second in rows}


def test_the_catalogue_holds_every_item_once_rated_or_not(tmp_path):
    write(tmp_path, RATINGS[:2] + RATINGS[3:5])
    generate(tmp_path, **{"split.eval_share": 0.5})
    assert generate_items(tmp_path) == {
        b"1": {"title": [b"One, The (1999)"], "genres": [b"Drama", b"War"]},
        b"2": {"title": [b"Two"], "genres": []},
        b"3": {"title": [b"Three"], "genres": [b"War"]},
    }


def test_the_catalogue_is_that_of_the_interactions_span_also_when_a_later_one_has_come(tmp_path):
    for span in ("1", "2"):
        (tmp_path / span).mkdir()
        write(tmp_path / span, RATINGS)
    (tmp_path / "2" / "movies.csv").write_text("movieId,title,genres\n9,Later,Drama\n")
    assert generate_items(tmp_path / "{span}", span="1").keys() == {b"1", b"2", b"3"}


def test_without_a_table_the_items_are_those_of_the_interactions(tmp_path):
    write_events(tmp_path)
    splits = generate(tmp_path, **EVENTS)
    held_out = {item for row in splits["eval"] for item in row["item_id"]}
    assert b"z" in held_out and not any(b"z" in row["item_id"] for row in splits["train"])
    assert generate_items(tmp_path, **EVENTS) == {b"w": {}, b"x": {}, b"y": {}, b"z": {}}
    assert summary(tmp_path, "items") == {"items": 4}


def test_vectors_have_one_length_and_others_are_missing_and_counted(tmp_path):
    write(tmp_path, RATINGS)
    images = ["1 0.5", "2 -1", "1 2 3", "x 1", ""]
    rows = [f"{item},T{item},,{image}" for item, image in enumerate(images, 1)]
    (tmp_path / "movies.csv").write_text("\n".join(["movieId,title,genres,image", *rows, "6,T,War,"]) + "\n")
    overrides = {"data.items.features.image": "{kind: vector}"}
    generate(tmp_path, **overrides)
    assert summary(tmp_path, "unreadable") == {"unreadable": {"items.image": 2}}
    found = generate_items(tmp_path, **overrides)
    vectors = {item.decode(): row["image"] for item, row in found.items() if row.get("image")}
    assert vectors == {"1": [1.0, 0.5], "2": [2.0, -1.0]} and len(found) == 6


def test_a_rating_at_the_limit_is_positive_also_where_a_float_is_a_little_less(tmp_path):
    write(tmp_path, [row.replace(",4,", ",4.1,") for row in RATINGS])
    generate(tmp_path, **{"data.interactions.positive": 4.1})
    assert summary(tmp_path, "positive", "train") == {"positive": 2, "train": 4}
