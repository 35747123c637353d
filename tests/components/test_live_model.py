"""Which version counts as the live one."""

import json

from components.artifacts import live_model_dir
from components.live_model.executor import live_version


def version(base_path, name, origin=None):
    extra = base_path / name / "assets.extra"
    extra.mkdir(parents=True)
    (base_path / name / "saved_model.pb").write_bytes(b"graph")
    if origin:
        (extra / "build.json").write_text(json.dumps({"origin": origin}))


def test_nothing_is_live_where_nothing_was_pushed(tmp_path):
    assert live_version(str(tmp_path / "not yet"), "mine") == ""
    (tmp_path / ".incoming-12").mkdir()
    assert live_version(str(tmp_path), "mine") == ""


def test_half_a_version_is_not_live(tmp_path):
    version(tmp_path, "9", "older")
    version(tmp_path, "10", "newer")
    (tmp_path / "10" / "saved_model.pb").unlink()
    assert live_version(str(tmp_path), "mine") == "9"


def test_a_damaged_description_tells_no_origin(tmp_path):
    version(tmp_path, "9", "mine")
    (tmp_path / "9" / "assets.extra" / "build.json").write_text('{"orig')
    assert live_version(str(tmp_path), "mine") == "9"


def test_the_newest_version_of_another_origin_is_live(tmp_path):
    version(tmp_path, "9", "older")
    version(tmp_path, "10", "newer")
    version(tmp_path, "11", "mine")
    assert live_version(str(tmp_path), "mine") == "10"
    assert live_version(str(tmp_path), "yet another") == "11"


def test_without_an_origin_whatever_is_live_counts(tmp_path):
    version(tmp_path, "9", "")
    assert live_version(str(tmp_path), "") == "9"


def test_a_version_that_somebody_else_put_there_counts(tmp_path):
    version(tmp_path, "3")
    assert live_version(str(tmp_path), "mine") == "3"


def test_an_artifact_without_a_version_holds_no_model(tmp_path):
    assert live_model_dir(str(tmp_path / "gone")) is None
    assert live_model_dir(str(tmp_path)) is None
    version(tmp_path, "3")
    assert live_model_dir(str(tmp_path)) == str(tmp_path / "3")
