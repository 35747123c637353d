"""Both ExampleGens, run for real on a few rows: what is left out, listed and refused."""

import pytest

from components.interaction_gen import executor as interaction_gen
from models.errors import UserError
from tests.components.generating import (
    ALLOW,
    EVENTS,
    HEADER,
    ITEMS,
    RATINGS,
    SHOP,
    generate,
    interactions,
    rejected,
    summary,
    write,
    write_events,
)


def test_values_that_cannot_be_read_are_counted_by_feature(tmp_path):
    write(tmp_path, RATINGS)
    (tmp_path / "users.csv").write_text("id,age\nb,old\na,20\nz,1e39\n")
    generate(tmp_path, **{"data.users": "{file: users.csv, columns: {user_id: id}, features: {age: {kind: number}}}"})
    assert summary(tmp_path, "unreadable") == {"unreadable": {"users.age": 2}}


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
