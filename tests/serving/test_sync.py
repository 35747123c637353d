"""The mirror of a push destination in an object store: whole versions or none, whatever happens."""

import os
import socket
import subprocess
import sys
import tarfile
import threading
from concurrent import futures

import fsspec
import pytest

from serving import archives
from serving.sync import mirror
from tests.serving.conftest import wait_for

MODEL_BYTES = 3_000_000


def model(tmp_path, content=b"x", origin="somebody"):
    path = tmp_path / f"model-{content.hex()}"
    for name, text in {
        "saved_model.pb": content,
        "variables/variables.index": content * MODEL_BYTES,
        "assets.extra/build.json": b'{"origin": "%s"}' % origin.encode(),
    }.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(text)
    return str(path)


def contents(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def source(store, request):
    return f"{store}/{request.node.name}"


def test_an_uploaded_version_arrives_as_it_is(tmp_path, source):
    pushed = model(tmp_path)
    assert archives.upload(pushed, source, 7) == f"{source}/7.tar"
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == ["7"]
    assert contents(tmp_path / "served" / "7") == contents(tmp_path / pushed)


def test_one_file_of_a_version_is_read_without_the_others(tmp_path, source):
    archives.upload(model(tmp_path), source, 7)
    assert archives.read(source, 7, "saved_model.pb") == b"x"
    assert archives.read(source, 7, "variables/none") is None


def test_the_newest_are_kept_and_a_version_that_was_taken_back_goes(tmp_path, source):
    pushed = model(tmp_path)
    for version in (8, 9, 10, 11):
        archives.upload(pushed, source, version)
    assert archives.versions(source) == [8, 9, 10, 11]
    served = tmp_path / "served"
    mirror(source, str(served), keep=2)
    assert sorted(os.listdir(served)) == ["10", "11"]
    fsspec.filesystem("s3").rm(f"{source}/11.tar")
    mirror(source, str(served), keep=2)
    assert sorted(os.listdir(served)) == ["10", "9"]


def test_a_damaged_version_keeps_neither_a_newer_one_away_nor_removes_an_older_one(tmp_path, source):
    pushed, served = model(tmp_path), tmp_path / "served"
    archives.upload(pushed, source, 1)
    mirror(source, str(served), keep=1)
    fsspec.filesystem("s3").pipe(archives.upload(pushed, source, 2), b"no archive")
    with pytest.raises(tarfile.TarError):
        mirror(source, str(served), keep=1)
    assert "1" in os.listdir(served)
    archives.upload(pushed, source, 3)
    with pytest.raises(tarfile.TarError):
        mirror(source, str(served), keep=2)
    assert contents(served / "3") == contents(tmp_path / pushed)
    assert "2" not in os.listdir(served)


def test_a_source_that_is_gone_or_empty_leaves_what_is_served(tmp_path, source):
    (tmp_path / "served" / "5").mkdir(parents=True)
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == ["5"]


def test_left_overs_of_a_killed_mirror_go(tmp_path, source):
    archives.upload(model(tmp_path), source, 7)
    (tmp_path / "served" / ".incoming-7" / "half").mkdir(parents=True)
    (tmp_path / "served" / ".incoming-3").mkdir()
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == ["7"]


def test_left_overs_go_before_the_next_download_as_they_may_be_what_fills_the_disk(tmp_path, source):
    fsspec.filesystem("s3").pipe(archives.upload(model(tmp_path), source, 7), b"no archive")
    (tmp_path / "served" / ".incoming-3").mkdir(parents=True)
    with pytest.raises(tarfile.TarError):
        mirror(source, str(tmp_path / "served"), keep=2)
    assert ".incoming-3" not in os.listdir(tmp_path / "served")


def test_a_mirror_that_is_told_to_stop_does_so(tmp_path, source):
    archives.upload(model(tmp_path), source, 7)
    command = [sys.executable, "-m", "serving.sync", source, str(tmp_path / "served")]
    with subprocess.Popen(command) as process:
        wait_for((tmp_path / "served" / "7").exists)
        process.terminate()
    assert process.returncode == 0


class CuttingProxy:
    """Forwards to the store until a request is larger than `limit` bytes; then calls `cut` and forwards no more."""

    def __init__(self, target, limit, cut):
        self._target, self._limit, self._cut = target, limit, cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            upstream = socket.create_connection(self._target)
            for one, other, limit in ((client, upstream, self._limit), (upstream, client, None)):
                threading.Thread(target=self._forward, args=(one, other, limit), daemon=True).start()

    def _forward(self, one, other, limit):
        forwarded = 0
        while data := one.recv(1 << 16):
            other.sendall(data)
            forwarded += len(data)
            if limit and forwarded > limit:
                self._cut()
                break
        other.shutdown(socket.SHUT_WR)


def test_an_upload_that_is_killed_half_way_leaves_nothing_to_be_seen(tmp_path, source):
    archives.upload(model(tmp_path, b"a"), source, 1)
    host, _, port = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://").partition(":")
    started = threading.Event()

    def kill():
        started.wait()
        uploader.kill()

    proxy = CuttingProxy((host, int(port)), MODEL_BYTES // 2, kill)
    code = "import sys; from serving import archives; archives.upload(sys.argv[1], sys.argv[2], 2)"
    command = [sys.executable, "-c", code, model(tmp_path, b"b"), source]
    environment = os.environ | {"AWS_ENDPOINT_URL": proxy.address}
    uploader = subprocess.Popen(command, env=environment)
    started.set()
    assert uploader.wait() == -9
    assert archives.versions(source) == [1]
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == ["1"]

    archives.upload(model(tmp_path, b"b"), source, 2)
    assert archives.versions(source) == [1, 2]


def test_a_reader_sees_whole_versions_only(tmp_path, source):
    """Uploads, the mirror and a model server's look at the directory at once."""
    served, done, halves, seen = tmp_path / "served", threading.Event(), [], set()
    models = {content: model(tmp_path, content) for content in (b"a", b"b", b"c")}
    whole = {content: contents(tmp_path / path) for content, path in models.items()}

    def watch():
        while not done.is_set():
            for name in os.listdir(served) if served.exists() else []:
                if name.isdigit():
                    try:
                        found = contents(served / name)
                    except FileNotFoundError:  # It has just been taken away.
                        continue
                    if found not in whole.values() and (served / name).exists():
                        halves.append((name, {file: len(content) for file, content in found.items()}))
                    seen.add(name)

    def keep_mirroring():
        while not done.is_set():
            mirror(source, str(served), keep=2)

    with futures.ThreadPoolExecutor() as pool:
        running = [pool.submit(target) for target in (watch, keep_mirroring)]
        try:
            for version, content in enumerate([b"a", b"b", b"c"] * 3, 1):
                archives.upload(models[content], source, version)
            wait_for(lambda: "9" in seen or any(task.done() for task in running))
        finally:
            done.set()
    assert [task.result() for task in running] == [None, None]
    assert "9" in seen and not halves
    mirror(source, str(served), keep=2)
    assert sorted(os.listdir(served)) == ["8", "9"]
