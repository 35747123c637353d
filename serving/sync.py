"""Mirrors the newest versions of a model from an object store into a directory that a model server watches.

python -m serving.sync s3://bucket/models/recommender /models/recommender
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import time

import click

from serving import archives
from serving.version_names import parse_version

_log = logging.getLogger("recommender.sync")


def mirror(source: str, directory: str, keep: int) -> None:
    """Makes `directory` hold the newest `keep` versions of `source`, each appearing whole, and no others.

    An empty source leaves the directory as it is: it may not exist yet. If a version cannot be downloaded, its error is
    raised after the others have been.
    """
    os.makedirs(directory, exist_ok=True)
    wanted = archives.versions(source)[-keep:]
    if not wanted:
        return
    for name in os.listdir(directory):  # Of a download that was killed or for which there was no room.
        if name.startswith(archives.SCRATCH_PREFIX):
            shutil.rmtree(os.path.join(directory, name))
    failed: Exception | None = None
    for version in reversed(wanted):  # The newest first. A damaged one does not hold up the others.
        path = os.path.join(directory, str(version))
        if not os.path.isdir(path):
            try:
                archives.download(source, version, path)
            except Exception as error:
                failed = failed or error
                continue
            _log.info("version %d has arrived", version)
    if failed:
        raise failed  # Before anything is removed: what is there may be all that can be served.
    for name in os.listdir(directory):
        if parse_version(name) not in {*wanted, None}:
            _remove(os.path.join(directory, name))


def _remove(path: str) -> None:
    """Renames a version so that no server sees it any more, then deletes its files."""
    parent, name = os.path.split(path)
    hidden = os.path.join(parent, archives.SCRATCH_PREFIX + name)
    os.rename(path, hidden)
    shutil.rmtree(hidden)
    _log.info("%s is removed", name)


@click.command()
@click.argument("source")
@click.argument("directory")
@click.option("--keep", default=2, show_default=True, type=click.IntRange(min=1), help="How many of the newest.")
@click.option("--seconds", default=10.0, show_default=True, help="Time between two checks; 0 checks once.")
def main(source: str, directory: str, keep: int, seconds: float) -> None:
    """Mirror the newest versions of a model from SOURCE, an object store's address, into DIRECTORY."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # As a container's first process it would not hear it.
    while True:
        try:
            mirror(source, directory, keep)
        except Exception as error:  # Each store has its own errors; none is a reason to stop.
            if not seconds:
                raise
            _log.warning("cannot mirror %s: %s: %s", source, type(error).__name__, error)
        if not seconds:
            return
        time.sleep(seconds)


if __name__ == "__main__":
    main()
