"""An object store has no directories, only names of objects and, of some programs, empty objects `dir/`."""

import pytest
from tfx.dsl.io import fileio, filesystem, filesystem_registry

from kubeflow import storage

STORE = {}
MODEL = "kept://bucket/run/model"
PAGE = "kept://bucket/run/report"


class Store(filesystem.Filesystem):
    """As TFX sees an object store: markers are objects, but not among the files of a listing."""

    SUPPORTED_SCHEMES = ["kept://"]

    @staticmethod
    def exists(path):
        return any(key == path or key.startswith(path.rstrip("/") + "/") for key in STORE)

    @staticmethod
    def isdir(path):
        return any(key.startswith(path.rstrip("/") + "/") for key in STORE)

    @staticmethod
    def walk(top, topdown=True, onerror=None):
        directories = {top}
        for key in STORE:
            while (key := key.rpartition("/")[0]).startswith(top + "/"):
                directories.add(key)
        for directory in sorted(directories):
            below = {key[len(directory) + 1 :] for key in STORE if key.startswith(directory + "/")} - {""}
            names = {name.partition("/")[0] for name in below if "/" in name}
            yield directory + "/", sorted(names), sorted(name for name in below if "/" not in name)

    @staticmethod
    def remove(path):
        if path not in STORE:
            raise filesystem.NotFoundError(path)
        del STORE[path]

    @staticmethod
    def rmtree(path):
        for key in [key for key in STORE if key.startswith(path + "/")]:
            del STORE[key]


@pytest.fixture(autouse=True)
def store():
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(Store, priority=0)
    STORE.clear()
    for key in ("/", "/Format-Serving/", "/Format-Serving/variables/", "/Format-Serving/saved_model.pb"):
        STORE[MODEL + key] = b"graph" if key.endswith(".pb") else b""
    STORE[f"{MODEL}/Format-Serving/assets/vocabulary"] = b"a"
    STORE["kept://bucket/run/model-2/"] = b""


def launcher_downloads(prefix, target):
    """As KFP's launcher does: every object to the file of its name."""
    for key, content in STORE.items():
        if key.startswith(prefix + "/"):
            path = target / key[len(prefix) + 1 :]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def test_the_launcher_trips_over_markers_and_finds_none_after_a_step_of_ours(tmp_path):
    with pytest.raises(OSError):
        launcher_downloads(MODEL, tmp_path / "with")
    storage.remove_markers([MODEL])
    launcher_downloads(MODEL, tmp_path / "without")
    assert (tmp_path / "without" / "Format-Serving" / "saved_model.pb").read_bytes() == b"graph"
    assert (tmp_path / "without" / "Format-Serving" / "assets" / "vocabulary").exists()
    assert "kept://bucket/run/model-2/" in STORE, "of another artifact"


def test_an_output_that_was_not_written_has_no_markers():
    storage.remove_markers(["kept://bucket/run/nothing"])


def test_what_a_killed_attempt_left_is_cleared_before_the_next(tmp_path):
    left_over = tmp_path / "examples" / "Split-train" / "beam-temp"
    left_over.mkdir(parents=True)
    STORE[PAGE] = b"<html>"
    storage.clear([str(tmp_path / "examples"), str(tmp_path / "summary"), MODEL, PAGE])
    assert not (tmp_path / "examples").exists()
    assert not fileio.exists(MODEL) and not fileio.exists(PAGE)


def test_an_output_that_is_a_file_has_no_markers():
    STORE[PAGE] = b"<html>"
    storage.remove_markers([PAGE])
    assert STORE[PAGE] == b"<html>"
