"""Finding the data of a run: recognising an edition, downloading one, and the check before anything starts."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

import requests

from pipeline import storage, tables
from pipeline.config import Config, Table, config_names, load_config
from pipeline.errors import UserError
from pipeline.features import USER_ID

EDITIONS = ("ml-latest-small", "ml-100k", "ml-1m", "ml-10m", "ml-20m", "ml-25m", "ml-32m")
_ARCHIVES = "https://files.grouplens.org/datasets/movielens"


def resolve_data(data: str | None) -> tuple[str, str | None]:
    """The configuration and the directory that `--data` means: an edition's name or a directory."""
    if data is None:
        return "demo", None
    directory = data_directory(data)
    return recognise(directory), directory


def data_directory(data: str) -> str:
    """The absolute path of a directory, or of an edition that is downloaded first; the address of an object store."""
    if storage.is_remote(data):
        return storage.absolute(data)
    if data in EDITIONS and not os.path.isdir(data):
        data = str(download(data))
    if not os.path.isdir(data):
        raise UserError(f"--data {data}: no such directory, and not one of {', '.join(EDITIONS)}")
    return os.path.abspath(data)


def recognise(directory: str) -> str:
    """The name of the built-in layout whose files are in `directory`."""
    layouts = [name for name in config_names() if name != "demo"]
    wanted = []
    for name in layouts:
        data = load_config(name).data
        files = [data.interactions.file, data.catalogue.file]
        if tables.table_files(directory, data.interactions):
            return name
        wanted.append(" and ".join(files))
    raise UserError(
        f"--data {directory}: found none of {'; '.join(wanted)}. For data of your own, describe its columns in a YAML "
        "file and give that as --config"
    )


def download(edition: str) -> Path:
    """Fetches a MovieLens edition, verified against GroupLens's own MD5, into a cache that later calls use.

    Raises:
      UserError: no network, or an archive that does not match its MD5.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recommender"
    target = cache / edition
    if target.is_dir():
        return target
    url = f"{_ARCHIVES}/{edition}.zip"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        archive = Path(scratch) / "archive.zip"
        try:
            listing = requests.get(f"{url}.md5", timeout=30)
            listing.raise_for_status()
            with requests.get(url, stream=True, timeout=30) as response, archive.open("wb") as file:
                response.raise_for_status()
                for chunk in response.iter_content(1 << 20):
                    file.write(chunk)
        except requests.RequestException as error:
            raise UserError(
                f"cannot download {url} ({type(error).__name__}). Fetch and unpack it by other means and give the "
                "directory as --data DIR, or use the built-in data by leaving --data out"
            ) from error
        expected = re.search(r"\b[0-9a-f]{32}\b", listing.text)
        actual = hashlib.md5()
        _feed(actual, archive)
        if expected is None or expected.group() != actual.hexdigest():
            raise UserError(f"{url}: the archive does not match GroupLens's {edition}.zip.md5. Try again")
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(scratch)
        unpacked = next(path for path in Path(scratch).iterdir() if path.is_dir())
        shutil.move(str(unpacked), target)
    return target


def _feed(digest: hashlib._Hash, path: str | Path) -> None:
    with storage.open_file(str(path)) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)


def check(config: Config) -> None:
    """Fails early, before any component runs, on data that cannot work.

    Raises:
      UserError: a missing or empty file, a header without a mapped column, no readable row, or interactions of a single
        user or movie.
    """
    data = config.data
    for name, table in named_tables(config):
        files = tables.table_files(data.directory, table)
        if not files and not table.optional:
            raise UserError(f"{os.path.join(data.directory, table.file)}: no such file (the {name} table)")
        for file in files:
            if storage.size(file) == 0:
                raise UserError(f"{file} is empty: it has to hold the {name} table")
            if next(tables.read_rows(file, table), None) is None:
                raise UserError(f"{file} has a header and no rows: it has to hold the {name} table")
    users, movies, reasons = set(), set(), []
    for file in tables.table_files(data.directory, data.interactions):
        for row in tables.read_rows(file, data.interactions):
            try:
                if row.error:
                    raise ValueError(row.error)
                user, movie, _, _ = tables.interaction(row.values)
            except ValueError as error:
                if len(reasons) < tables.SHOWN_REASONS:
                    reasons.append(f"line {row.line}: {error}")
                continue
            users.add(user)
            movies.add(movie)
            if len(users) > 1 and len(movies) > 1:
                return
    path = os.path.join(data.directory, data.interactions.file)
    if not users:
        raise UserError(f"{path}: none of its rows can be read ({'; '.join(reasons)})")
    short = "user" if len(users) == 1 else "movie"
    raise UserError(f"{path} has interactions of one {short} only: a recommender needs at least two")


def named_tables(config: Config) -> list[tuple[str, Table]]:
    """The tables that a configuration reads, by name."""
    data = config.data
    tables_ = [("interactions", data.interactions), ("catalogue", data.catalogue)]
    return [*tables_, ("users", data.users)] if data.users else tables_


def user_fields(config: Config) -> list[str]:
    """The optional user features that the data has."""
    users = config.data.users
    if users is None or not tables.table_files(config.data.directory, users):
        return []
    return [name for name in users.columns if name != USER_ID.name]


def fingerprint(config: Config) -> str:
    """A digest of every source file's content: what makes a run's cached components stale."""
    digest = hashlib.sha256()
    for name, table in named_tables(config):
        for path in tables.table_files(config.data.directory, table):
            digest.update(f"{name}:{os.path.basename(path)}:{storage.size(path)}".encode())
            _feed(digest, path)
    return digest.hexdigest()[:16]
