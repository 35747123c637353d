"""Versions rise, appear whole, and left-overs of a killed push go away."""

import os
import time
from concurrent import futures
from pathlib import Path

import pytest
from tfx.orchestration import metadata
from tfx.types import standard_artifacts

from components import push_destination
from components.push_destination import push
from pipeline.outputs import lost_versions


def model(tmp_path):
    path = tmp_path / "model"
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"graph")
    (path / "variables" / "data").write_bytes(b"weights")
    return str(path)


def test_a_version_is_a_whole_copy_named_by_the_time(tmp_path):
    before = int(time.time())
    version, destination = push(model(tmp_path), str(tmp_path / "served"))
    assert version >= before
    assert destination == str(tmp_path / "served" / str(version))
    assert (tmp_path / "served" / str(version) / "variables" / "data").read_bytes() == b"weights"


def test_versions_only_rise_even_past_one_from_the_future(tmp_path):
    future = int(time.time()) + 10_000
    (tmp_path / "served" / str(future)).mkdir(parents=True)
    source = model(tmp_path)
    versions = [push(source, str(tmp_path / "served"))[0] for _ in range(2)]
    assert versions == [future + 1, future + 2]


def test_what_a_killed_push_left_is_removed_and_never_looks_like_a_version(tmp_path):
    left_over = tmp_path / "served" / ".incoming-5"
    left_over.mkdir(parents=True)
    version, _ = push(model(tmp_path), str(tmp_path / "served"))
    assert sorted(os.listdir(tmp_path / "served")) == [str(version)]


def test_pushes_at_the_same_time_wait_for_each_other(tmp_path):
    source, served = model(tmp_path), tmp_path / "served"
    with futures.ThreadPoolExecutor(8) as pool:
        versions = [done[0] for done in pool.map(lambda _: push(source, str(served)), range(8))]
    assert sorted(os.listdir(served)) == sorted(map(str, versions)) and len(set(versions)) == 8
    assert all((served / str(version) / "variables" / "data").read_bytes() == b"weights" for version in versions)


def test_a_push_that_fails_half_way_leaves_no_version(tmp_path, monkeypatch):
    def half(_, target):
        os.makedirs(target)
        Path(target, "saved_model.pb").write_bytes(b"gr")
        raise OSError("disk full")

    monkeypatch.setattr(push_destination.io_utils, "copy_dir", half)
    with pytest.raises(OSError, match="disk full"):
        push(model(tmp_path), str(tmp_path / "served"))
    assert not [name for name in os.listdir(tmp_path / "served") if name.isdigit()]


def test_lost_are_versions_of_the_same_origin_that_are_not_there(tmp_path):
    connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.db"))
    with metadata.Metadata(connection) as handle:
        for version, origin in (("1", "other"), ("2", "ours"), ("3", "ours"), ("", "ours")):
            pushed = standard_artifacts.PushedModel()
            pushed.uri = str(tmp_path / "pushed" / version)
            pushed.set_string_custom_property("pushed_version", version)
            pushed.set_string_custom_property("origin", origin)
            handle.publish_artifacts([pushed])
    (tmp_path / "served" / "3").mkdir(parents=True)
    (tmp_path / "served" / "3" / "saved_model.pb").touch()
    assert lost_versions(connection, str(tmp_path / "served"), "ours") == "2"
