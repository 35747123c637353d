"""Columns of items and users as features: of which kind, and why."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from models.features import names as n
from pipeline.guess import words
from pipeline.guess.columns import Column

_TITLE = ("title", "name", "label", "description")
_FEW = 20  # Different whole numbers that are names rather than amounts.
_MANY = 1_000  # Different texts of which rare ones teach nothing.
_SPREAD = 100  # Times the median, from which on numbers are taken by their logarithm.
_LEAST_FILLED = 0.02


class Features(NamedTuple):
    """Declared features by name, and for each column its name, why it is or is not one, and whether that is sure."""

    features: dict[str, dict[str, Any]]
    why: list[tuple[str, str, bool]]


def title(columns: Sequence[Column]) -> Column | None:
    """The column that names an item for people: by its own name or, where columns have none, texts of several words."""
    texts = [column for column in columns if column.numbers is None and not column.is_list and column.repeats < 3]
    for word in _TITLE:
        for column in texts:
            if column.called(frozenset([word])):
                return column
    return next((column for column in texts if isinstance(column.source, int) and _blanks(column) >= 1), None)


def _blanks(column: Column) -> float:
    """How many a text has on average."""
    return pc.mean(pc.count_substring(column.texts, " ")).as_py() or 0.0


def features(columns: Sequence[Column], taken: Collection[str] = (), prefix: str = "") -> Features:
    """Decides for each column; `prefix` goes before a name that is among those `taken`."""
    found = Features({}, [])
    for column in columns:
        name = _name(column, {*taken, *found.features}, prefix)
        kind, why = _kind(column)
        if kind is not None:
            if name != column.source:
                kind["column"] = column.source
            found.features[name] = kind
        found.why.append((name, why, kind is not None))
    return found


def _name(column: Column, taken: Collection[str], prefix: str) -> str:
    """A feature's name: the column's, as far as it can be one."""
    name = re.sub(r"\W+", "_", str(column.source), flags=re.ASCII).strip("_")
    if not name or not name[0].isalpha():
        name = f"column_{name}".rstrip("_")
    return f"{prefix}_{name}" if name in n.RESERVED or name in taken else name


def _kind(column: Column) -> tuple[dict[str, Any] | None, str]:
    """The declaration, None where the column is left out, and why."""
    rows = len(column.texts)
    if column.is_list:
        return {"kind": "tags"}, "a list in each row; where it holds numbers, make it `kind: vector`"
    if column.filled < _LEAST_FILLED or column.distinct < 2:
        return None, f"left out: {column.distinct} different values, and {column.filled:.0%} of the rows have one"
    if column.time:
        return None, "left out: a time"
    if column.numbers is not None:
        return _of_numbers(column, column.numbers)
    if separator := column.separator():
        return {"kind": "tags", "separator": separator}, f"texts with {separator!r} between few different parts"
    if column.repeats >= 2:
        few = {"kind": "category"} | ({"min_count": 2} if column.distinct > _MANY else {})
        return few, f"{column.distinct:,} different texts in {rows:,} rows"
    if _blanks(column) >= 1:
        return {"kind": "text"}, "texts of several words, hardly any twice"
    return None, "left out: nearly every row has another value, as an id has"


def _of_numbers(column: Column, numbers: np.ndarray) -> tuple[dict[str, Any] | None, str]:
    there = numbers[~np.isnan(numbers)]
    if column.whole and column.distinct > _FEW and (column.called(words.ID) or column.distinct == len(there)):
        if column.repeats < 2:
            return None, "left out: whole numbers, hardly any twice, as ids are"
        return {"kind": "category", "min_count": 2}, f"ids, of which there are {column.distinct:,}"
    if column.whole and column.distinct <= _FEW:
        return {"kind": "category"}, f"{column.distinct} different whole numbers"
    low, middle, high = there.min(), np.median(there), there.max()
    shown = f"numbers from {low:g} to {high:g}"
    if low >= 0 and high > _SPREAD * max(middle, 1e-9):
        return {"kind": "number", "scale": "log"}, f"{shown}, most of them small"
    return {"kind": "number"}, shown
