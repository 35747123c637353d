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

from components.live_model.executor import live_version
from components.push_destination import push
from serving import archives
from serving.sync import mirror

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


def test_a_pushed_version_arrives_as_it_is(tmp_path, source):
    pushed = model(tmp_path)
    version, address = push(pushed, source)
    assert address == f"{source}/{version}.tar"
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == [str(version)]
    assert contents(tmp_path / "served" / str(version)) == contents(tmp_path / pushed)


def test_the_newest_are_kept_and_a_version_that_was_taken_back_goes(tmp_path, source):
    pushed = model(tmp_path)
    versions = [push(pushed, source)[0] for _ in range(4)]
    assert versions == list(range(versions[0], versions[0] + 4))
    served = tmp_path / "served"
    mirror(source, str(served), keep=2)
    assert sorted(os.listdir(served)) == [str(version) for version in versions[2:]]
    fsspec.filesystem("s3").rm(f"{source}/{versions[3]}.tar")
    mirror(source, str(served), keep=2)
    assert sorted(os.listdir(served)) == [str(version) for version in versions[1:3]]


def test_a_damaged_version_keeps_neither_a_newer_one_away_nor_removes_an_older_one(tmp_path, source):
    pushed, served = model(tmp_path), tmp_path / "served"
    first, _ = push(pushed, source)
    mirror(source, str(served), keep=1)
    damaged, address = push(pushed, source)
    fsspec.filesystem("s3").pipe(address, b"no archive")
    with pytest.raises(tarfile.TarError):
        mirror(source, str(served), keep=1)
    assert str(first) in os.listdir(served)
    newest, _ = push(pushed, source)
    with pytest.raises(tarfile.TarError):
        mirror(source, str(served), keep=2)
    assert contents(served / str(newest)) == contents(tmp_path / pushed)
    assert str(damaged) not in os.listdir(served)


def test_a_source_that_is_gone_or_empty_leaves_what_is_served(tmp_path, source):
    (tmp_path / "served" / "5").mkdir(parents=True)
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == ["5"]


def test_left_overs_of_a_killed_mirror_go(tmp_path, source):
    version, _ = push(model(tmp_path), source)
    (tmp_path / "served" / f".incoming-{version}" / "half").mkdir(parents=True)
    (tmp_path / "served" / ".incoming-3").mkdir()
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == [str(version)]


def test_the_live_model_is_read_from_the_archives(tmp_path, source):
    assert live_version(source, "mine") == ""
    older, _ = push(model(tmp_path, b"a", "somebody"), source)
    newer, _ = push(model(tmp_path, b"b", "mine"), source)
    assert live_version(source, "mine") == str(older)
    assert live_version(source, "another") == str(newer)


def test_the_mirror_needs_neither_tensorflow_nor_tfx():
    imports = "import sys, serving.sync; print(sorted({'tensorflow', 'tfx', 'pipeline'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", imports], text=True, capture_output=True, check=True)
    assert done.stdout == "[]\n"


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


def test_a_push_that_is_killed_half_way_leaves_nothing_to_be_seen(tmp_path, source):
    first, _ = push(model(tmp_path, b"a"), source)
    host, _, port = os.environ["AWS_ENDPOINT_URL"].removeprefix("http://").partition(":")
    started = threading.Event()

    def kill():
        started.wait()
        pusher.kill()

    proxy = CuttingProxy((host, int(port)), MODEL_BYTES // 2, kill)
    command = [sys.executable, "-m", "tests.serving.push", model(tmp_path, b"b"), source]
    environment = os.environ | {"AWS_ENDPOINT_URL": proxy.address}
    pusher = subprocess.Popen(command, env=environment)
    started.set()
    assert pusher.wait() == -9
    assert archives.versions(source) == [first]
    mirror(source, str(tmp_path / "served"), keep=2)
    assert os.listdir(tmp_path / "served") == [str(first)]

    second, _ = push(model(tmp_path, b"b"), source)
    assert archives.versions(source) == [first, second]


def test_a_reader_sees_whole_versions_only(tmp_path, source):
    """Pushes, the mirror and a model server's look at the directory at once."""
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
            versions = [push(models[content], source)[0] for content in (b"a", b"b", b"c") * 3]
        finally:
            done.set()
    assert [one.result() for one in running] == [None, None]
    assert seen and not halves
    mirror(source, str(served), keep=2)
    assert sorted(os.listdir(served)) == [str(version) for version in versions[-2:]]
