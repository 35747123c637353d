"""What is looked at before anything starts: whether the data can work, and whether it has changed."""

from __future__ import annotations

import collections
import hashlib
import itertools
import os

from components import storage
from components.interaction_gen.window import check_window
from components.tables import parsing, reading
from components.tables.causes import REJECTED, SHOWN_CAUSES, Unused, by_cause, joined
from components.tables.look import Look, look
from components.tables.settings import Table
from components.tables.spans import Window
from models.errors import UserError
from models.features import names as n
from models.features.feature_set import FeatureSet
from pipeline.config import Config


def check(config: Config) -> None:
    """Fails early, before any component runs, on data that cannot work: looks at the first megabyte of every table.

    Raises:
      UserError: a table without files or rows, a file that cannot be read or lacks a mapped column, a first megabyte
        without a row that can be used, or interactions of a single user or item.
    """
    data = config.data
    window = data.deliveries()
    check_window(window, data, data.missing_spans)
    tables = {"items": data.items, "users": data.users, "interactions": data.interactions}  # Causes come first.
    for name, table in tables.items():
        if table is None:
            continue
        place = os.path.join(window.newest, table.file)
        files = window.files(table, data)
        if files:
            _check_table(name, place, files, table)
        elif not table.optional:
            raise UserError(f"{place}: no such file (the {name} table)")


def _check_table(name: str, place: str, files: list[str], table: Table) -> None:
    seen = look(files, table)
    causes: dict[tuple[str, str], list[tuple[int, Unused]]] = collections.defaultdict(list)
    left_out: collections.Counter[str] = collections.Counter()
    read = accepted = 0
    for rows in seen.rows:
        parsed = parsing.parse(name, rows, seen.table)
        read += len(rows.lines) + len(rows.broken)
        accepted += len(parsed.rows)
        for row in parsed.rejected:
            causes[name, row.cause].append((1, Unused.of(name, REJECTED, row)))
        left_out.update(parsed.left_out)
    if not read:
        raise UserError(f"{place} has no rows: it has to hold the {name} table")
    if not accepted:
        found = [str(cause) for cause in by_cause({key: joined(rows) for key, rows in causes.items()})]
        found += [f"{count:,} rows left out: {reason}" for reason, count in left_out.items()]
        raise UserError(f"{place}: none of its first {read:,} rows can be used ({'; '.join(found[:SHOWN_CAUSES])})")
    if name == "interactions":
        _check_several(place, files, seen)


def _check_several(place: str, files: list[str], seen: Look) -> None:
    """Reads until there are two users and two items. Raises UserError where there are not."""
    users: set[str] = set()
    items: set[str] = set()
    of_files = (reading.read_rows(file, seen.table, seen.numeric) for file in files)
    for rows in itertools.chain(seen.rows, itertools.chain.from_iterable(of_files)):
        parsed = parsing.parse("interactions", rows, seen.table).rows
        users.update(parsed[n.USER_ID].unique().to_pylist())
        items.update(parsed[n.ITEM_ID].unique().to_pylist())
        if len(users) > 1 and len(items) > 1:
            return
    short = "user" if len(users) == 1 else "item"
    raise UserError(f"{place} has interactions of only one {short}; at least two are needed")


def features(config: Config) -> FeatureSet:
    """The features that the data has: those of users only where their table is there."""
    data = config.data
    return config.features(with_users=bool(data.users and data.deliveries().files(data.users, data)))


def fingerprint(config: Config) -> str:
    """A digest of every source file's content: what makes a run's cached components stale."""
    digest, window = hashlib.sha256(), config.data.deliveries()
    for name, table in config.data.by_name().items():
        for path in window.files(table, config.data):
            digest.update(f"{name}:{_below(window, path)}:{storage.size(path)}".encode())
            storage.feed(digest, path)
    return digest.hexdigest()[:16]


def _below(window: Window, path: str) -> str:
    """A file's path as it is wherever the data lies."""
    return next((path.removeprefix(one) for one in window.directories if path.startswith(f"{one}/")), path)
