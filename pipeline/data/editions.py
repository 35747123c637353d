"""MovieLens's editions: recognising and downloading them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

import requests

from components import storage
from components.tables import spans
from components.tables.files import table_files
from models.errors import UserError
from pipeline.config import config_names, load_config

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
    if spans.PLACE not in data and not os.path.isdir(data):
        raise UserError(f"--data {data}: no such directory, and not one of {', '.join(EDITIONS)}")
    return os.path.abspath(data)


def recognise(directory: str) -> str:
    """The name of the built-in layout whose files are in `directory`."""
    newest = spans.resolve(directory, spans.LATEST).newest
    layouts = [name for name in config_names() if name != "demo"]
    wanted = []
    for name in layouts:
        data = load_config(name).data
        files = [table.file for table in data.by_name().values() if not table.optional]
        if table_files(newest, data.interactions):
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
        storage.feed(actual, str(archive))
        if expected is None or expected.group() != actual.hexdigest():
            raise UserError(f"{url}: the archive does not match GroupLens's {edition}.zip.md5. Try again")
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(scratch)
        unpacked = next(path for path in Path(scratch).iterdir() if path.is_dir())
        shutil.move(str(unpacked), target)
    return target
