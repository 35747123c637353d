"""Mirrors the newest versions of a model from an object store into a directory that a model server watches.

python -m serving.sync s3://bucket/models/recommender /models/recommender
"""

from __future__ import annotations

import logging
import os
import shutil
import time

import click

from serving import archives
from serving.version_names import parse_version

_log = logging.getLogger("recommender.sync")


def mirror(source: str, directory: str, keep: int) -> None:
    """Makes `directory` hold the newest `keep` versions of `source`, each appearing whole, and no others.

    A source that holds none is taken for one that is not there yet, and leaves the directory as it is. Raises what
    keeps a version from coming, once the others are there.
    """
    os.makedirs(directory, exist_ok=True)
    wanted = archives.versions(source)[-keep:]
    if not wanted:
        return
    failed = None
    for version in reversed(wanted):  # The newest first. A damaged one does not keep the others away.
        path = os.path.join(directory, str(version))
        if not os.path.isdir(path):
            try:
                archives.download(source, version, path)
            except Exception as error:
                failed = failed or error
                continue
            _log.info("version %d is there", version)
    if failed:
        raise failed  # Before anything is removed: it may be all that there is.
    for name in os.listdir(directory):
        if name.startswith(archives.SCRATCH_PREFIX) or parse_version(name) not in {*wanted, None}:
            _remove(os.path.join(directory, name))


def _remove(path: str) -> None:
    """Takes a version out of a server's sight before its files go one by one."""
    parent, name = os.path.split(path)
    gone = os.path.join(parent, archives.SCRATCH_PREFIX + name.removeprefix(archives.SCRATCH_PREFIX))
    os.rename(path, gone)
    shutil.rmtree(gone)
    _log.info("%s is gone", name)


@click.command()
@click.argument("source")
@click.argument("directory")
@click.option("--keep", default=2, show_default=True, type=click.IntRange(min=1), help="How many of the newest.")
@click.option("--seconds", default=10.0, show_default=True, help="Between two looks at the source; 0: only one.")
def main(source: str, directory: str, keep: int, seconds: float) -> None:
    """Mirror the newest versions of a model from SOURCE, an object store's address, into DIRECTORY."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    while True:
        try:
            mirror(source, directory, keep)
        except Exception as error:  # Each store's client has errors of its own; none is a reason to stop serving.
            if not seconds:
                raise
            _log.warning("cannot mirror %s: %s: %s", source, type(error).__name__, error)
        if not seconds:
            return
        time.sleep(seconds)


if __name__ == "__main__":
    main()
