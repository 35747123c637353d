"""Configurations are checked when they are read."""

import pytest

from pipeline.config import config_names, load_config
from pipeline.errors import UserError


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
        ("split.test_share=2", "split.test_share: Input should be less than 1"),
        ("retrieval.epochs", "expected section.key=value"),
        ("name.x=1", "name is a value, not a section"),
    ],
)
def test_a_wrong_override_names_the_field(override, message):
    with pytest.raises(UserError, match=message):
        load_config("demo", [override])


def test_a_file_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("data: [")
    with pytest.raises(UserError, match=r"bad.yaml is not a YAML file"):
        load_config(str(path))


def test_the_data_of_a_file_is_looked_for_beside_it(tmp_path):
    path = tmp_path / "shop.yaml"
    path.write_text(
        "data:\n"
        "  interactions: {file: i.csv, columns: {user_id: u}}\n"
        "  catalogue: {file: c.csv, columns: {movie_id: m}}\n"
    )
    config = load_config(str(path))
    assert (config.name, config.data.directory) == ("shop", str(tmp_path))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"no configuration 'nope': .*demo"):
        load_config("nope")
