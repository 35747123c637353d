"""What the Pusher puts into an object store, and what the next run finds there, beside the mirror."""

import os

import pytest

from components.live_model.executor import live_version
from components.push_destination import push
from serving.sync import mirror
from tests.serving.test_sync import contents, model


@pytest.fixture
def source(store, request):
    return f"{store}/{request.node.name}"


def test_a_pushed_version_arrives_as_it_is(tmp_path, source):
    pushed = model(tmp_path)
    version, address = push(pushed, source)
    assert address == f"{source}/{version}.tar"
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == [str(version)]
    assert contents(tmp_path / "served" / str(version)) == contents(tmp_path / pushed)


def test_versions_rise(tmp_path, source):
    versions = [push(model(tmp_path), source)[0] for _ in range(4)]
    assert versions == sorted(set(versions))


def test_the_live_model_is_read_from_the_archives(tmp_path, source):
    assert live_version(source, "mine") == ""
    older, _ = push(model(tmp_path, b"a", "somebody"), source)
    newer, _ = push(model(tmp_path, b"b", "mine"), source)
    assert live_version(source, "mine") == str(older)
    assert live_version(source, "another") == str(newer)
