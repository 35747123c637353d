"""The files of a table: one, a glob's, or a directory's parts, as Spark and Hive write them."""

from __future__ import annotations

import glob
import os
from urllib.parse import unquote

from components import storage
from components.tables.settings import Table

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def table_files(directory: str, table: Table) -> list[str]:
    """Paths of a table's files, sorted; empty if there are none.

    A directory stands for all files below it. Of those that a pattern or a directory brings, files and directories
    whose names begin with `_` or `.` are marks of the writer's, as `_SUCCESS`, and no parts.
    """
    pattern = os.path.join(glob.escape(directory), table.file)
    found = storage.files(pattern)
    named = os.path.join(directory, table.file)
    return found if found == [named] else [path for path in found if not _is_mark(path, directory)]


def partitions(path: str) -> dict[str, str]:
    """The columns that a path gives, as `dt=2020-09-10` does; "" is a missing value."""
    pairs = [part.partition("=") for part in path.split("/")[:-1]]
    return {unquote(name): "" if value == _NO_VALUE else unquote(value) for name, equals, value in pairs if equals}


def _is_mark(path: str, directory: str) -> bool:
    below = path.removeprefix(directory.rstrip("/") + "/")
    return any(part.startswith(("_", ".")) for part in below.split("/"))
