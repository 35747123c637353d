"""What travels with a version for the page, as the page asks for it."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from serving.explore import files

_FOUND = 20  # Items or users that a search shows.
_VALUES = 1000  # Of a feature.


class Entry(NamedTuple):
    """An interaction of a history."""

    item_id: str
    timestamp: int  # 0: not known.
    added: bool = False  # On the page, not in the data.


class VersionData:
    """Items, and some users with their histories.

    Args:
      directory: the version's.
    """

    def __init__(self, directory: str):
        directory = os.path.join(directory, files.DIRECTORY)
        items, users = (pq.read_table(os.path.join(directory, name)) for name in (files.ITEMS_FILE, files.USERS_FILE))
        with open(os.path.join(directory, files.SUMMARY_FILE), encoding="utf-8") as file:
            self.summary: dict[str, Any] = json.load(file)
        self._items, self._users = items.combine_chunks(), users.combine_chunks()
        self._row_of_item, self._row_of_user = (
            {key: row for row, key in enumerate(table[name].to_pylist())}
            for table, name in ((self._items, "item_id"), (self._users, "user_id"))
        )
        counts = self._items["interactions"].to_numpy()
        self._by_popularity = np.argsort(-counts, kind="stable")
        self._places = np.empty(len(counts), int)
        self._places[self._by_popularity] = np.arange(1, len(counts) + 1)
        prefix = files.FEATURE_PREFIX
        self._features = [name.removeprefix(prefix) for name in self._items.column_names if name.startswith(prefix)]

    def items(self, item_ids: Iterable[str]) -> list[dict[str, Any]]:
        """What is known of items; of one that is not in the data, its id alone."""
        return [self._item(item_id) for item_id in item_ids]

    def _item(self, item_id: str) -> dict[str, Any]:
        row = self._row_of_item.get(item_id)
        if row is None:
            return {"item_id": item_id}
        features = {name: self._items[files.FEATURE_PREFIX + name][row].as_py() for name in self._features}
        return {
            "item_id": item_id,
            "title": self._items["title"][row].as_py(),
            "interactions": self._items["interactions"][row].as_py(),
            "place": int(self._places[row]),
            "features": {name: values for name, values in features.items() if values},
        }

    def find_items(self, text: str) -> list[dict[str, Any]]:
        """Items with the text in their title or id, the most popular first; one of exactly this id before all."""
        rows = self._by_popularity[_holds(self._items["title"], text)[self._by_popularity]][:_FOUND]
        if not len(rows):
            rows = self._by_popularity[_holds(self._items["item_id"], text)[self._by_popularity]][:_FOUND]
        exact = [text] if text in self._row_of_item else []
        ids = [self._items["item_id"][int(row)].as_py() for row in rows]
        return self.items(dict.fromkeys([*exact, *ids]))

    def find_users(self, text: str) -> list[dict[str, Any]]:
        """Users whose id begins with the text, or has it elsewhere; some at random where there is no text."""
        if text:
            found = np.flatnonzero(_holds(self._users["user_id"], text)).tolist()
            found.sort(key=lambda row: self._order(row, text))
        else:
            found = random.sample(range(len(self._users)), min(_FOUND, len(self._users)))
        return [
            {
                "user_id": self._users["user_id"][row].as_py(),
                "interactions": self._users["interactions"][row].as_py(),
                "last_timestamp": self._users["history_timestamp"][row][0].as_py(),
            }
            for row in found[:_FOUND]
        ]

    def _order(self, row: int, text: str) -> tuple:
        user_id = self._users["user_id"][row].as_py()
        return not user_id.startswith(text), len(user_id), user_id

    def history(self, user_id: str) -> list[Entry] | None:
        """What the model knows of a user, the most recent first; None where the user is not among those kept."""
        row = self._row_of_user.get(user_id)
        if row is None:
            return None
        rows, times = (self._users[name][row].as_py() for name in ("history_row", "history_timestamp"))
        ids = self._items["item_id"]
        return [Entry(ids[item].as_py(), time) for item, time in zip(rows, times, strict=True) if item < len(ids)]

    def values(self, feature: str) -> list[str]:
        """The most frequent values of a feature of items, in that order."""
        if feature not in self._features:
            return []
        counted = pc.value_counts(self._items[files.FEATURE_PREFIX + feature].combine_chunks().flatten()).to_pylist()
        return [one["values"] for one in sorted(counted, key=lambda one: -one["counts"])][:_VALUES]


def read(model_dir: str, version: int) -> VersionData | None:
    """What has travelled with a version; None where an older edition has pushed it."""
    directory = os.path.join(model_dir, str(version))
    present = os.path.exists(os.path.join(directory, files.DIRECTORY, files.SUMMARY_FILE))
    return VersionData(directory) if present else None


def _holds(texts: pa.ChunkedArray, wanted: str) -> np.ndarray:
    return pc.match_substring(texts, wanted, ignore_case=True).to_numpy()
