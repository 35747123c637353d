"""What is looked at before anything starts: whether the data can work, and whether it has changed."""

from __future__ import annotations

import hashlib
import os

from components import storage
from components.tables import parsing, reading
from models.errors import UserError
from models.features import names as n
from models.features.feature_set import FeatureSet
from pipeline.config import Config


def check(config: Config) -> None:
    """Fails early, before any component runs, on data that cannot work.

    Raises:
      UserError: a missing or empty file, a header without a mapped column, no readable row, or interactions of a single
        user or item.
    """
    data = config.data
    for name, table in data.by_name().items():
        files = reading.table_files(data.directory, table)
        if not files and not table.optional:
            raise UserError(f"{os.path.join(data.directory, table.file)}: no such file (the {name} table)")
        for file in files:
            if storage.size(file) == 0:
                raise UserError(f"{file} is empty: it has to hold the {name} table")
            if not any(len(rows.lines) or rows.broken for rows in reading.read_rows(file, table)):
                raise UserError(f"{file} has a header and no rows: it has to hold the {name} table")
    users: set[str] = set()
    items: set[str] = set()
    reasons: list[str] = []
    for file in reading.table_files(data.directory, data.interactions):
        for rows in reading.read_rows(file, data.interactions):
            parsed = parsing.interactions(rows, data.interactions)
            reasons += [f"line {row.line}: {row.reason}" for row in parsed.rejected]
            reasons += [f"{count:,} rows left out: {reason}" for reason, count in parsed.left_out.items()]
            users.update(parsed.rows[n.USER_ID].unique().to_pylist())
            items.update(parsed.rows[n.ITEM_ID].unique().to_pylist())
            if len(users) > 1 and len(items) > 1:
                return
    path = os.path.join(data.directory, data.interactions.file)
    if not users:
        raise UserError(f"{path}: none of its rows can be read ({'; '.join(reasons[: reading.SHOWN_REASONS])})")
    short = "user" if len(users) == 1 else "item"
    raise UserError(f"{path} has interactions of only one {short}; at least two are needed")


def features(config: Config) -> FeatureSet:
    """The features that the data has: those of users only where their table is there."""
    users = config.data.users
    return config.features(with_users=bool(users and reading.table_files(config.data.directory, users)))


def fingerprint(config: Config) -> str:
    """A digest of every source file's content: what makes a run's cached components stale."""
    digest = hashlib.sha256()
    for name, table in config.data.by_name().items():
        for path in reading.table_files(config.data.directory, table):
            digest.update(f"{name}:{os.path.basename(path)}:{storage.size(path)}".encode())
            storage.feed(digest, path)
    return digest.hexdigest()[:16]
