"""Both ExampleGens, run for real on a few rows."""

import csv
import gzip
import json
import math
import os

import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.artifacts import DataSummary, read_summary
from components.interaction_gen import executor as interaction_gen
from components.interaction_gen import timelines
from components.item_gen import executor as item_gen
from models.errors import UserError
from pipeline.config import load_config
from tests.components.deliveries import made, read_interactions, run, tables

ITEMS = 'movieId,title,genres\n1,"One, The (1999)",Drama|War\n2,Two,(no genres listed)\n2,Twice,Drama\n3,Three,War\n'
RATINGS = [f"a,{item},4,{100 * item}" for item in (1, 2, 3)] + [f"b,{item},3,{50 * item}" for item in (1, 2, 3)]
HEADER = "userId,movieId,rating,timestamp"
ALLOW = {"data.max_rejected_share": 0.9}
EVENTS = {  # Of a table without ratings, and without one of items.
    "data.items": "null",
    "data.interactions.file": "events.csv",
    "data.interactions.columns": "{user_id: u, item_id: i, timestamp: t, event: e}",
    "data.interactions.positive": "null",
}
SHOP = ["a,x,1,view,tv,1", "a,y,2,buy,,2", "a,z,3,view,web,", "b,w,1,buy,tv,x", "b,x,2,buy,tv,3", "b,y,3,view,,1"]


def write(directory, ratings):
    (directory / "movies.csv").write_text(ITEMS)
    (directory / "ratings.csv").write_text("\n".join([HEADER, *ratings]) + "\n")


def write_events(directory, rows=SHOP):
    (directory / "events.csv").write_text("\n".join(["u,i,t,e,device,hour", *rows]) + "\n")


def configured(directory, overrides):
    return load_config("movielens-csv", [f"{k}={v}" for k, v in overrides.items()], data__directory=str(directory))


def generate(directory, beam_args=None, **overrides):
    """Runs InteractionGen; returns the examples of both splits, by user and time."""
    read_interactions(configured(directory, overrides), directory, beam_args)
    splits = {split: read(directory / "examples" / f"Split-{split}") for split in ("train", "eval")}
    return {split: sorted(rows, key=lambda row: (row["user_id"], row["timestamp"])) for split, rows in splits.items()}


def generate_items(directory, span="", beam_args=None, **overrides):
    """Runs ItemGen after InteractionGen has read `span`; returns the examples by item id."""
    if span:
        (directory.parent / "summary").mkdir()
        (directory.parent / "summary" / "summary.json").write_text(json.dumps({"spans": [span]}))
    (interactions,) = made(standard_artifacts.Examples, directory / "examples")
    interactions.split_names = artifact_utils.encode_split_names(["train", "eval"])
    summary = directory.parent / "summary" if span else directory / "summary"
    inputs = {"interactions": [interactions], "summary": made(DataSummary, summary)}
    output = (directory.parent if span else directory) / "catalogue"
    outputs = {"examples": made(standard_artifacts.Examples, output)}
    run(item_gen.Executor, inputs, outputs, tables(configured(directory, overrides)), beam_args)
    rows = read(output / "Split-items")
    items = {row.pop("item_id")[0]: row for row in rows}
    assert len(items) == len(rows), "each once"
    return items


def read(directory):
    files = tf.io.gfile.glob(os.path.join(str(directory), "*"))
    rows = []
    for record in tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator():
        found = tf.train.Example.FromString(record).features.feature
        kinds = {name: value.WhichOneof("kind") for name, value in found.items()}
        rows.append({name: list(getattr(found[name], kind).value) for name, kind in kinds.items() if kind})
    return rows


def rejected(directory, outcome="rejected"):
    """File, line and reason of the rows in the list."""
    with (directory / "rejected" / "rows.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["outcome"] == outcome]
    return [(os.path.basename(row["file"]), int(row["line"]), row["reason"]) for row in rows]


def summary(directory, *names):
    found = read_summary(str(directory / "summary"))
    return {name: found[name] for name in names}


def interactions(splits):
    return sum(len(row["item_id"]) - row["overlap"][0] for rows in splits.values() for row in rows)


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


def test_values_that_cannot_be_read_are_counted_by_feature(tmp_path):
    write(tmp_path, RATINGS)
    (tmp_path / "users.csv").write_text("id,age\nb,old\na,20\nz,1e39\n")
    generate(tmp_path, **{"data.users": "{file: users.csv, columns: {user_id: id}, features: {age: {kind: number}}}"})
    assert summary(tmp_path, "unreadable") == {"unreadable": {"users.age": 2}}


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


def test_what_does_not_count_is_left_out_and_counted_and_not_rejected(tmp_path):
    write_events(tmp_path, [*SHOP, *["a,x,9,click,tv,1"] * 3, "a,x,,view,tv,1", "b,x,8,view,phone,1"])
    splits = generate(
        tmp_path,
        **EVENTS,
        **{
            "data.interactions.events": "{view: 1, buy: 5}",
            "data.interactions.require": "[timestamp]",
            "data.interactions.where": "{device: {one_of: [tv, web, '']}}",
        },
    )
    assert interactions(splits) == 6 and rejected(tmp_path) == []
    assert summary(tmp_path, "left_out", "rejected_rows") == {
        "left_out": {
            "interactions.an event of a kind that is not named in events": 3,
            "interactions.device is not one of tv, web, ": 1,
            "interactions.no timestamp": 1,
        },
        "rejected_rows": 0,
    }


def test_where_everything_is_left_out_the_reasons_are_said(tmp_path):
    write_events(tmp_path)
    with pytest.raises(UserError, match=r"no interaction counts \(interactions.*named in events: 6 rows\)"):
        generate(tmp_path, **EVENTS, **{"data.interactions.events": "{cart: 1}"})


def test_bad_rows_are_listed_and_counted(tmp_path):
    bad = ["a,1,4,100", "a,9,4,500", "a,1,good,600", "a,1,4,soon", "a,1", ",1,4,700"]
    write(tmp_path, RATINGS + bad)
    assert interactions(generate(tmp_path, **ALLOW)) == len(RATINGS)
    assert [(line, reason) for _, line, reason in rejected(tmp_path)] == [
        (9, "item '9' is not in the catalogue"),
        (10, "rating 'good' is not a number"),
        (11, "timestamp 'soon' is not a number"),
        (12, "2 fields instead of 4"),
        (13, "missing user_id"),
    ]
    assert rejected(tmp_path, "merged") == [("movies.csv", 4, "repeats line 3"), ("ratings.csv", 8, "repeats line 2")]
    counted = {"interactions": 6, "users": 2, "items": 3, "rejected_rows": 5, "duplicate_rows": 1}
    counted["tables"] = {
        "items": {"rows": 4, "accepted": 3, "merged": 1, "left_out": 0, "rejected": 0},
        "interactions": {"rows": 12, "accepted": 6, "merged": 1, "left_out": 0, "rejected": 5},
    }
    assert summary(tmp_path, *counted) == counted
    (causes,) = summary(tmp_path, "causes").values()
    assert [(cause["table"], cause["rows"], cause["cause"]) for cause in causes] == [
        ("interactions", 1, cause)
        for cause in (
            "item is not in the catalogue",
            "rating is not a number",
            "timestamp is not a number",
            "another number of fields than there are columns",
            "missing user_id",
        )
    ]
    assert causes[0]["example"] == "ratings.csv, line 9: item '9' is not in the catalogue"


def test_duplicates_are_listed_and_do_not_count_against_what_is_allowed(tmp_path):
    write(tmp_path, RATINGS * 3)
    (tmp_path / "ratings-2.csv").write_text(f"{HEADER}\n{RATINGS[0]}\n")
    assert interactions(generate(tmp_path, **{"data.interactions.file": "ratings*.csv"})) == 6
    assert summary(tmp_path, "rejected_rows", "duplicate_rows") == {"rejected_rows": 0, "duplicate_rows": 13}
    first = {2: f"2 of {tmp_path}/ratings-2.csv", 3: "3", 4: "4", 5: "5", 6: "6", 7: "7"}
    repeats = [("ratings.csv", line, f"repeats line {first[(line - 2) % 6 + 2]}") for line in (2, *range(8, 20))]
    assert rejected(tmp_path, "merged") == [("movies.csv", 4, "repeats line 3"), *repeats]


def test_repeated_rows_are_broken_where_the_configuration_says_so(tmp_path):
    write(tmp_path, [*RATINGS, RATINGS[0]])
    reject = {"data.duplicates": "reject"}
    with pytest.raises(
        UserError, match=r"1 row of items: repeats an earlier row \(movies.csv, line 4: repeats line 3\); 1 row of"
    ):
        generate(tmp_path, **reject)
    generate(tmp_path, **ALLOW, **reject)
    assert rejected(tmp_path) == [("movies.csv", 4, "repeats line 3"), ("ratings.csv", 8, "repeats line 2")]
    assert summary(tmp_path, "rejected_rows", "duplicate_rows") == {"rejected_rows": 2, "duplicate_rows": 0}


def test_too_many_bad_rows_stop_the_run_and_leave_the_list(tmp_path):
    write(tmp_path, [*RATINGS, "a,1,good,600"])
    with pytest.raises(
        UserError,
        match=r"1 rows were rejected and 6 .*1.00%: 1 row of inter.*ratings.csv, line 8: rating 'good'.*rows.csv",
    ):
        generate(tmp_path)
    assert "good" in (tmp_path / "rejected" / "rows.csv").read_text()


def test_bad_rows_of_the_catalogue_are_listed_before_what_follows_from_them(tmp_path):
    write(tmp_path, [*RATINGS, "a,4,5,600"])
    (tmp_path / "movies.csv").write_text(ITEMS + "4,Unquoted, The,Drama\n")
    generate(tmp_path, **ALLOW)
    assert rejected(tmp_path) == [
        ("movies.csv", 6, "4 fields instead of 3"),
        ("ratings.csv", 8, "item '4' is not in the catalogue"),
    ]


def test_a_long_list_of_bad_rows_is_cut_and_all_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(interaction_gen, "_MOST_LISTED", 2)
    write(tmp_path, RATINGS + ["a,1,good,600"] * 5)
    generate(tmp_path, **ALLOW)
    assert len(rejected(tmp_path)) == 2
    assert summary(tmp_path, "rejected_rows") == {"rejected_rows": 5}


def test_a_delivery_without_any_readable_row(tmp_path):
    write(tmp_path, ["a,1,good,600"])
    with pytest.raises(UserError, match=r"1 rows were rejected and 0 interactions accepted.*'good' is not a number"):
        generate(tmp_path)


def test_a_split_without_eval_rows_is_an_error(tmp_path):
    write(tmp_path, RATINGS)
    with pytest.raises(UserError, match="leaves no eval interactions of 6"):
        generate(tmp_path, **{"split.eval_share": 0.01})


def test_global_temporal_split_has_only_the_past_in_train(tmp_path):
    write(tmp_path, [f"u{n % 5},{n % 3 + 1},{n % 4 + 2},{3600 * n + 1}" for n in range(20)])
    splits = generate(tmp_path, **{"split.kind": "global_temporal"})
    train, held_out = ([time for row in splits[split] for time in row["timestamp"]] for split in ("train", "eval"))
    assert (len(train), len(held_out)) == (16, 4) and max(train) < min(held_out)


ALIKE = [f"{user},{item},4,{100 * item}" for user in "ab" for item in (1, 2, 3)]


@pytest.mark.parametrize(
    ("ratings", "overrides", "message"),
    [
        (ALIKE, {}, "data.interactions.columns.rating: all ratings are 4, which teaches nothing: leave `rating` out"),
        (RATINGS, {"data.interactions.positive": 5}, "data.interactions.positive: nothing is positive, which"),
        (RATINGS, {"data.interactions.positive": 3}, "data.interactions.positive: everything is positive, which"),
        (
            RATINGS,
            {"data.items.features.genres": "{kind: number}"},
            "data.items.features.genres: no row has a value that can be read: check its `column` and `kind`",
        ),
        (
            RATINGS,
            {"data.items.features.image": "{kind: vector, column: title}"},
            "data.items.features.image: no row has a value that can be read",
        ),
        (
            RATINGS,
            {"data.users": "{file: users.csv, columns: {user_id: id}, features: {city: {kind: category}}}"},
            "data.users.features.city: no row has a value that can be read",
        ),
    ],
)
def test_data_that_cannot_teach_what_it_is_configured_for_stops_the_run(tmp_path, ratings, overrides, message):
    write(tmp_path, ratings)
    (tmp_path / "users.csv").write_text("id,city\na,\nb,\n")
    with pytest.raises(UserError) as stopped:
        generate(tmp_path, **overrides)
    assert str(stopped.value).startswith(message)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"positive": "[cart]"}, "data.interactions.positive: nothing is positive, which"),
        ({"positive": "[view, buy]"}, "data.interactions.positive: everything is positive, which"),
        ({"context": "{device: {kind: number}}"}, "data.interactions.context.device: no row has a value that can be"),
    ],
)
def test_events_that_cannot_teach_what_they_are_configured_for_stop_the_run(tmp_path, overrides, message):
    write_events(tmp_path)
    with pytest.raises(UserError) as stopped:
        generate(tmp_path, **EVENTS | {f"data.interactions.{name}": value for name, value in overrides.items()})
    assert str(stopped.value).startswith(message)


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
