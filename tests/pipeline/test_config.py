"""Configurations are checked when they are read."""

import pytest

from models.errors import UserError
from pipeline.config import config_names, load_config


@pytest.mark.parametrize("name", config_names())
def test_every_built_in_configuration_is_valid(name):
    assert load_config(name).name == name


def test_overrides_are_read_as_yaml():
    config = load_config("demo", ["retrieval.epochs=3", "ranking.layers=[8, 4]"], split__kind="random")
    assert (config.retrieval.epochs, config.ranking.layers, config.split.kind) == (3, [8, 4], "random")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("retrieval.epoch=3", "retrieval.epoch: Extra inputs are not permitted"),
        ("retrieval.epochs=many", "retrieval.epochs: Input should be a valid integer"),
        ("split.eval_share=2", "split.eval_share: Input should be less than 1"),
        ("retrieval.weight_decay=400", "retrieval: .*learning_rate times weight_decay has to be below 1"),
        ("retrieval.epochs", "expected section.key=value"),
        ("evaluation.thresholds.rating_error.at_least=1", "thresholds.rating_error: .*one of at_least and at_most"),
        ("evaluation.thresholds.new={at_most: 1}", "evaluation.thresholds.new.metric: Field required"),
        ("name.x=1", "name is a value, not a section"),
        ("index.recommendations=101", "index.recommendations: 101 are more than the 100 of index.candidates, of which"),
        ("retrieval.moment_buckets=[1,8", "is not YAML"),
        (
            "index.never={where: {colour: [red]}}",
            "demo.yaml: index.never.where: 'colour' is no feature of items of kind category or tags; the data has "
            "item_id, genres",
        ),
        ("index.never={where: {}}", "index.never.where: Dictionary should have at least 1 item"),
        ("index.never={where: {genres: []}}", "index.never.where.genres: List should have at least 1 item"),
        ("index.boost={genres: 1}", "index.boost: 'genres' is no feature of items of kind number; the data has none"),
        ("index.most_per={title: 2}", "index.most_per: 'title' is no feature of items of kind category or tags"),
        ("index.most_per={genres: 0}", "index.most_per.genres: Input should be greater than or equal to 1"),
        ("index.diversity=1", "index.diversity: Input should be less than 1"),
        (
            "data.items.features.year={kind: number, filter: true}",
            "features.year.filter: Extra inputs are not permitted",
        ),
        (
            "data.interactions.context={device: {kind: category, filter: true}}",
            "interactions.context.device.filter: only features of items filter what is recommended",
        ),
        ("data.interactions.header=false", "data.interactions.columns.user_id: 'userId' is not a position"),
    ],
)
def test_a_wrong_override_names_the_field(override, message):
    with pytest.raises(UserError, match=message):
        load_config("demo", [override])


def test_what_is_never_recommended_may_be_named_by_numbers():
    never = load_config("demo", ["index.never={where: {item_id: [42, '007']}}"]).index.never
    assert never.where == {"item_id": ["42", "007"]}


def test_thresholds_are_changed_added_and_taken_out_by_name():
    before = load_config("demo").evaluation.active_thresholds()
    changed = load_config(
        "demo",
        [
            "evaluation.thresholds.better_than_popularity.at_least=2",
            "evaluation.thresholds.mine={metric: mae, at_most: 0.7, slice: user=cold}",
            "evaluation.thresholds.rating_error=null",
        ],
    ).evaluation.active_thresholds()
    assert changed["better_than_popularity"].against == "popularity"
    assert changed["better_than_popularity"].admits(0.4, 0.2) and not changed["better_than_popularity"].admits(0.3, 0.2)
    assert changed["mine"].slice == "user=cold"
    assert changed.keys() == (before.keys() - {"rating_error"}) | {"mine"}


def test_thresholds_are_changed_once_more_at_run_time():
    limits = load_config(
        "demo", ["evaluation.thresholds.rating_error=null", "evaluation.min_slice_queries=7"]
    ).evaluation
    changed = limits.changed(
        {
            "better_than_popularity": {"at_least": 2},
            "nothing_seen": {"at_least": 0.1, "at_most": None},
            "mine": {"metric": "mae", "at_most": 0.7},
            "lists_kept": None,
        }
    )
    before, after = limits.active_thresholds(), changed.active_thresholds()
    assert after.keys() == (before.keys() - {"lists_kept"}) | {"mine"}
    assert (after["better_than_popularity"].at_least, after["better_than_popularity"].against) == (2, "popularity")
    assert (after["nothing_seen"].at_least, after["nothing_seen"].at_most) == (0.1, None)
    assert after["tail_kept"] == before["tail_kept"]
    assert changed.min_slice_queries == 7
    with pytest.raises(ValueError, match="one of at_least and at_most"):
        limits.changed({"rmse": {"metric": "rmse"}})


def test_a_file_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("data: [")
    with pytest.raises(UserError, match=r"bad.yaml is not a YAML file"):
        load_config(str(path))


def test_the_data_of_a_file_is_looked_for_beside_it(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(
        "data:\n"
        "  interactions: {file: i.csv, columns: {user_id: u, item_id: m, rating: r, timestamp: t}}\n"
        "  items: {file: c.csv, columns: {item_id: m}}\n"
    )
    config = load_config(str(path))
    assert (config.name, config.data.directory) == ("shop", str(tmp_path))
    path.write_text(path.read_text() + "  directory: events\n")
    assert load_config(str(path)).data.directory == str(tmp_path / "events")


@pytest.mark.parametrize("span", ["2026-11-24", "20261124", "day_7"])
def test_a_span_is_a_text_whatever_yaml_makes_of_it(span):
    assert load_config("demo", [f"data.span={span}"]).data.span == span


EVENTS = "data.interactions.columns={user_id: u, item_id: i, timestamp: t, event: e}"
INTERACTIONS, FEATURES = "data.interactions", "data.items.features"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("repeats=often", "repeats: Input should be a valid boolean"),
        ("transform.preference_threshold=4", "transform.preference_threshold: Extra inputs are not permitted"),
        ("data.interactions.columns={user_id: u, item_id: m, rating: r}", f"{INTERACTIONS}.columns has no timestamp"),
        (f"{INTERACTIONS}.columns.time=t", f"{INTERACTIONS}.columns has the unknown field 'time'"),
        ("data.items=movies.csv", "data.items: Input should be a valid dictionary"),
        ("data.items.columns={title: t}", "data.items.columns has no item_id"),
        ("data.items.columns.item_titel=t", "data.items.columns has the unknown field 'item_titel'"),
        ("data.users={file: u.csv, columns: {age: a}}", "data.users.columns has no user_id"),
        (
            "data.users={file: u.csv, columns: {user_id: u, income: i}}",
            "data.users.columns has the unknown field 'income'",
        ),
        (f"{INTERACTIONS}.timestamp=ms", f"{INTERACTIONS}.timestamp: Input should be a valid dictionary"),
        (f"{INTERACTIONS}.timestamp.unit=minutes", f"{INTERACTIONS}.timestamp.unit: 'minutes' is none of s, ms, us"),
        (
            f"{INTERACTIONS}.timestamp.time_zone=Mars",
            f"{INTERACTIONS}.timestamp.time_zone: there is no time zone",
        ),
        (f"{INTERACTIONS}.timestamp.zone=UTC", f"{INTERACTIONS}.timestamp.zone: Extra inputs are not permitted"),
        (f"{INTERACTIONS}.require=rating", f"{INTERACTIONS}.require: Input should be a valid list"),
        (f"{INTERACTIONS}.require=[price]", f"{INTERACTIONS}.require: 'price' is not among columns, which has user_id"),
        (
            f"{INTERACTIONS}.where.price={{}}",
            f"{INTERACTIONS}.where.price: give above, at_least, below, at_most or",
        ),
        (f"{INTERACTIONS}.where.price.above=x", f"{INTERACTIONS}.where.price.above: Input should be a valid number"),
        (f"{INTERACTIONS}.where.price.over=1", f"{INTERACTIONS}.where.price.over: Extra inputs are not permitted"),
        (f"{INTERACTIONS}.events.buy=1", f"{INTERACTIONS}.events: map `event` in columns to the column that holds"),
        (f"{INTERACTIONS}.events.buy=much", f"{INTERACTIONS}.events.buy: Input should be a valid number"),
        (f"{INTERACTIONS}.positive=often", f"{INTERACTIONS}.positive: give the rating that it begins at, or a list"),
        (f"{INTERACTIONS}.positive=[1]", f"{INTERACTIONS}.positive: give the rating that it begins at, or a list"),
        (f"{INTERACTIONS}.positive=[buy]", f"{INTERACTIONS}.positive: kinds of events need `event` in columns"),
        (f"{INTERACTIONS}.context.device={{}}", f"{INTERACTIONS}.context.device.kind: give a kind"),
        (f"{INTERACTIONS}.context.device.kind=tags", f"{INTERACTIONS}.context.device.kind: a context has features of"),
        (
            f"{INTERACTIONS}.context.price={{kind: number, scale: cubic}}",
            f"{INTERACTIONS}.context.price.scale: Input should be 'linear' or 'log'",
        ),
        (f"{INTERACTIONS}.context.user.kind=category", f"{INTERACTIONS}.context.user: the name is taken"),
        (f"{INTERACTIONS}.context.genres.kind=category", f"{FEATURES}.genres: the name is taken"),
        (f"{INTERACTIONS}.context.a-b.kind=category", f"{INTERACTIONS}.context.a-b: name it with letters"),
        (
            f"{FEATURES}.brand.kind=colour",
            f"{FEATURES}.brand.kind: give one of 'category', 'tags', 'text', 'number'",
        ),
        (f"{FEATURES}.brand={{kind: category, column: -1}}", f"{FEATURES}.brand.column: -1 is not a column: give its"),
        (f"{FEATURES}.image={{kind: vector, length: 3}}", f"{FEATURES}.image.length: Extra inputs are not permitted"),
        (f"{FEATURES}.genres.separator=''", f"{FEATURES}.genres.separator: String should have at least 1 character"),
        (f"{FEATURES}.genres.min_count=0", f"{FEATURES}.genres.min_count: Input should be greater than or equal to 1"),
        (f"{FEATURES}.genres={{kind: tags, flags: {{x: 1}}, column: b}}", f"{FEATURES}.genres: give flags or column"),
        (f"{FEATURES}.title.kind=text", f"{FEATURES}.title: the name is taken; choose another, and give `column`"),
        ("data.items.format=orc", "data.items.format: Input should be 'csv' or 'parquet'"),
    ],
)
def test_a_wrong_value_is_one_line_that_begins_with_the_path_of_its_key(override, message):
    with pytest.raises(UserError) as refused:
        load_config("movielens-csv", [override])
    assert str(refused.value).startswith(f"configuration movielens-csv.yaml: {message}")
    assert "\n" not in str(refused.value) and "; data." not in str(refused.value), "one line of one problem"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["positive=3.0"], "positive: a limit needs `rating` in columns"),
        (["positive=[buy, see]", "events={buy: 1}"], "positive: 'see' is not among events, which has buy"),
        (["positive=null", "events={buy: 0}"], "events.buy: the weight has to be above 0; a kind that is not named is"),
    ],
)
def test_what_events_need_is_said(overrides, message):
    with pytest.raises(UserError) as refused:
        load_config("movielens-csv", [EVENTS, *(f"{INTERACTIONS}.{override}" for override in overrides)])
    assert str(refused.value).startswith(f"configuration movielens-csv.yaml: {INTERACTIONS}.{message}")


def test_the_features_follow_from_what_the_data_has():
    features = load_config("movielens-100k", ["repeats=true", "split.history_length=7"]).features(with_users=True)
    assert [*features.items] == ["title", "genres"] and [*features.users] == ["age", "gender", "occupation", "zip_code"]
    assert (features.rated, features.events, features.positive) == (True, None, 4.0)
    assert (features.histories.length, features.histories.repeats, features.histories.both_sides) == (7, True, False)
    overrides = [EVENTS, "data.items=null", f"{INTERACTIONS}.positive=[buy]", "split.kind=random"]
    bare = load_config("movielens-100k", [*overrides, f"{INTERACTIONS}.header=true"]).features(with_users=False)
    assert (bare.items, bare.users, bare.rated, bare.events, bare.positive) == ({}, {}, False, {}, ["buy"])
    assert bare.histories.both_sides and not bare.histories.repeats
    assert bare.labels() == {"rating": False, "weight": False, "positive": True}


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"no configuration 'nope': .*demo"):
        load_config("nope")
