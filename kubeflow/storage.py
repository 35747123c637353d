"""Artifacts' directories and files, as a step finds and leaves them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from tfx.dsl.io import fileio

from components.storage import is_remote


def clear(uris: Iterable[str]) -> None:
    """Removes what an attempt that was killed has left: KFP gives the next one the same places."""
    for uri in uris:
        if fileio.isdir(uri):
            fileio.rmtree(uri)
        elif fileio.exists(uri):
            fileio.remove(uri)


def remove_markers(uris: Iterable[str]) -> None:
    """Removes the empty objects `dir/` that stand for directories in an object store.

    KFP's launcher downloads every object of an input before the step starts, and fails on them: `Format-Serving/`
    becomes a file where the directory of the model's files has to be.
    """
    for uri in uris:
        if is_remote(uri) and fileio.isdir(uri):
            for directory, _, _ in list(fileio.walk(uri)):
                with contextlib.suppress(fileio.NotFoundError):  # There only where some program has made it.
                    fileio.remove(directory.rstrip("/") + "/")
