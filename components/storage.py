"""Paths that may lie in an object store: `s3://bucket/…` or `gs://bucket/…`."""

from __future__ import annotations

import glob as local_glob
import os
from typing import IO, TYPE_CHECKING, Any

import fsspec

from models.errors import UserError

if TYPE_CHECKING:
    import hashlib


def is_remote(path: str) -> bool:
    """Whether a path is an address of an object store."""
    return "://" in path


def absolute(path: str) -> str:
    """The absolute path, or the address as it is."""
    return path.rstrip("/") if is_remote(path) else os.path.abspath(path)


def glob(pattern: str) -> list[str]:
    """Paths that match, sorted. Raises UserError where the store cannot be asked."""
    return sorted(_matches(pattern))


def files(pattern: str) -> list[str]:
    """Files that match and those below directories that do, sorted. Raises as `glob`."""
    found = set()
    for path, is_directory in _matches(pattern).items():
        found.update(_below(path) if is_directory else [path])
    return sorted(found)


def _matches(pattern: str) -> dict[str, bool]:
    """Paths that match, and whether each is a directory."""
    if not is_remote(pattern):
        return {path: os.path.isdir(path) for path in local_glob.glob(pattern, recursive=True)}
    try:
        store, path = fsspec.url_to_fs(pattern, use_listings_cache=False)
        found = store.glob(path, detail=True)
        return {store.unstrip_protocol(name): info["type"] == "directory" for name, info in found.items()}
    except Exception as error:  # Each store's client has errors of its own.
        raise UserError(
            f"{pattern} cannot be read ({type(error).__name__}: {error}): see docs/object-stores.md for what address, "
            "credentials and endpoint have to be"
        ) from error


def _below(directory: str) -> list[str]:
    if not is_remote(directory):
        walk = os.walk(directory, followlinks=True)
        return [os.path.join(parent, name) for parent, _, names in walk for name in names]
    store, path = fsspec.url_to_fs(directory, use_listings_cache=False)
    return [store.unstrip_protocol(name) for name in store.find(path)]


def open_file(path: str, mode: str = "rb", **kwargs: Any) -> IO:
    """As the built-in `open`, whose `encoding` and `newline` it takes."""
    return fsspec.open(path, mode, **kwargs).open() if is_remote(path) else open(path, mode, **kwargs)


def size(path: str) -> int:
    """In bytes."""
    if not is_remote(path):
        return os.path.getsize(path)
    store, name = fsspec.url_to_fs(path, use_listings_cache=False)
    return store.size(name)


def feed(digest: hashlib._Hash, path: str) -> None:
    """Adds a file's content to a digest."""
    with open_file(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)


def enable_s3() -> None:
    """Teaches TensorFlow, and so TFX, to read and write `s3://`, with the endpoint that boto3 and s3fs use.

    To be called in a process before its first step that has such a path: importing tensorflow-io takes a second.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        os.environ["S3_ENDPOINT"] = endpoint
    region = os.environ.get("AWS_DEFAULT_REGION")
    if region:
        os.environ.setdefault("AWS_REGION", region)
    import tensorflow_io  # noqa: F401
