"""Versions of a model in an object store: each is one object, `VERSION.tar`, which is there whole or not at all.

A store cannot rename a directory, but it puts a single object in place at once. A model server does not load archives,
so `serving.sync` unpacks them into the directory that it watches.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile

import fsspec

from serving.version_names import parse_versions

_SUFFIX = ".tar"
SCRATCH_PREFIX = ".incoming-"  # Not an integer, so model servers ignore it.


def versions(base_url: str) -> list[int]:
    """The versions below an address, in ascending order."""
    store, base = _store(base_url)
    names = (os.path.basename(path) for path in store.glob(f"{base}/*{_SUFFIX}"))
    return sorted(parse_versions([name.removesuffix(_SUFFIX) for name in names]))


def upload(model_dir: str, base_url: str, version: int) -> str:
    """Puts a local SavedModel in place as a version; returns its address."""
    store, base = _store(base_url)
    with tempfile.NamedTemporaryFile(suffix=_SUFFIX) as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(model_dir, arcname=".")
        packed.flush()
        store.put_file(packed.name, f"{base}/{version}{_SUFFIX}")
    return address(base_url, version)


def download(base_url: str, version: int, directory: str) -> None:
    """Unpacks a version into a local directory, which appears whole or not at all."""
    store, base = _store(base_url)
    parent, name = os.path.split(directory)
    scratch = os.path.join(parent, f"{SCRATCH_PREFIX}{name}")
    shutil.rmtree(scratch, ignore_errors=True)
    with store.open(f"{base}/{version}{_SUFFIX}", "rb") as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        archive.extractall(scratch, filter="data")
    os.rename(scratch, directory)


def address(base_url: str, version: int) -> str:
    """Of a version's archive."""
    return f"{base_url}/{version}{_SUFFIX}"


def remove(base_url: str, version: int) -> None:
    """Deletes a version's archive."""
    store, base = _store(base_url)
    store.rm_file(f"{base}/{version}{_SUFFIX}")


def read(base_url: str, version: int, name: str) -> bytes | None:
    """One file of a version, without the others; None where it has no such file."""
    store, base = _store(base_url)
    with store.open(f"{base}/{version}{_SUFFIX}", "rb") as packed, tarfile.open(fileobj=packed, mode="r:") as archive:
        member = next((member for member in archive.getmembers() if os.path.normpath(member.name) == name), None)
        file = archive.extractfile(member) if member else None
        return file.read() if file else None


def _store(base_url: str) -> tuple[fsspec.AbstractFileSystem, str]:
    """The object store's file system, and the path in it."""
    # Without the cache of listings, which would hide later pushes.
    return fsspec.url_to_fs(base_url.rstrip("/"), use_listings_cache=False)
