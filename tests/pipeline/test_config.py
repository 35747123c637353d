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
        ("retrieval.moment_buckets=[1,8", "is not YAML"),
        ("data.interactions.header=false", "data.interactions.columns.user_id: 'userId' is not a position"),
    ],
)
def test_a_wrong_override_names_the_field(override, message):
    with pytest.raises(UserError, match=message):
        load_config("demo", [override])


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


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            "data.interactions.columns={user_id: u, item_id: m, rating: r}",
            "data.interactions.columns has no timestamp",
        ),
        (
            "data.items.columns={item_id: m, item_titel: t}",
            "data.items.columns has the unknown field 'item_titel'",
        ),
        ("data.users={file: u.csv, columns: {age: a}}", "data.users.columns has no user_id"),
        (
            "data.users={file: u.csv, columns: {user_id: u, income: i}}",
            "data.users.columns has the unknown field 'income'",
        ),
    ],
)
def test_columns_are_mapped_to_fields(columns, message):
    with pytest.raises(UserError, match=f"configuration movielens-csv.yaml: {message}"):
        load_config("movielens-csv", [columns])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"no configuration 'nope': .*demo"):
        load_config("nope")
