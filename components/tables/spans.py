"""Spans: deliveries of data that lie side by side, as in `s3://shop/interactions/{span}`, and windows of them."""

from __future__ import annotations

import datetime
import glob
import itertools
import os
import re
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from components import storage
from components.tables.files import table_files
from components.tables.settings import Table, Tables
from models.errors import UserError

LATEST = "latest"
PLACE = "{span}"


class Window(NamedTuple):
    """The deliveries that are read together.

    Attributes:
      directories: from the oldest to the newest; one at least.
      spans: their names; none where the location has no place for one.
      missing: what seems to be missing between them, in words.
    """

    directories: tuple[str, ...]
    spans: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def newest(self) -> str:
        """The directory of the newest delivery."""
        return self.directories[-1]

    @property
    def name(self) -> str:
        """Of the newest span; "" where there are none."""
        return self.spans[-1] if self.spans else ""

    def files(self, table: Table, data: Tables) -> list[str]:
        """Paths of a table's files: interactions, and what stands in their files, of all deliveries; other tables of
        the newest one that has them.

        Raises:
          UserError: a delivery is without interactions, while others have some.
        """
        of_each = [table_files(directory, table) for directory in self.directories]
        if not data.in_interactions(table):
            return next(filter(None, reversed(of_each)), [])
        for directory, found in zip(self.directories, of_each, strict=True):
            if not found and any(of_each):
                raise UserError(
                    f"{os.path.join(directory, table.file)}: no such file, while other spans of the window have it. "
                    "Deliver it, or read a shorter window (`data.window`)"
                )
        return list(itertools.chain.from_iterable(of_each))


def resolve(location: str, span: str, window: int = 1) -> Window:
    """Finds the data of a span, and of those before it.

    Args:
      location: a directory; `{span}` in it stands for the span.
      span: its name, or "latest" for the greatest one there is, of letters, digits, `-` and `_`. Numbers in it
        compare by value.
      window: how many spans are read together, that one the last; fewer where there are no more.

    Raises:
      UserError: the latest is asked for, and there is none, or the store cannot be asked, or a window is asked for
        without a place for the span.
    """
    if PLACE not in location:
        if window > 1:
            raise UserError(f"{location}: data.window is {window}, so the directory needs {{span}} where spans differ")
        return Window((location,))
    if window == 1 and span != LATEST:
        return of_names(location, [span])
    names = sorted(_names(location), key=_by_value)
    if span != LATEST:
        names = [*(name for name in names if _by_value(name) < _by_value(span)), span]
    return of_names(location, names[-window:])


def of_names(location: str, names: Sequence[str]) -> Window:
    """The deliveries of spans whose names are known, from the oldest to the newest; none: the location itself."""
    if not names:
        return Window((location,))
    return Window(tuple(location.replace(PLACE, name) for name in names), tuple(names), tuple(_missing(names)))


def _names(location: str) -> list[str]:
    before, _, after = location.partition(PLACE)
    parent, prefix = os.path.split(before)
    suffix = after.partition("/")[0]
    names = [os.path.basename(path) for path in storage.glob(os.path.join(glob.escape(parent), "*"))]
    named = re.compile(f"{re.escape(prefix)}([A-Za-z0-9][A-Za-z0-9_-]*){re.escape(suffix)}")
    spans = [match[1] for match in map(named.fullmatch, names) if match]
    if not spans:
        raise UserError(f"{location}: no name there fits {{span}}. Give the directory itself, or the span's name")
    return spans


def _by_value(name: str) -> list[tuple[int, int, str]]:
    parts = filter(None, re.split(r"([0-9]+)", name))
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def _missing(names: Sequence[str]) -> list[str]:
    """Where spans follow each other by a day, a month or a number: what is left out between them."""
    for places in _PLACES:
        placed = [places(name) for name in names]
        if None not in placed:
            steps = [later - earlier for earlier, later in itertools.pairwise(placed)]
            usual = statistics.median_low(steps) if steps else 0
            return [
                f"between {earlier} and {later}"
                for step, (earlier, later) in zip(steps, itertools.pairwise(names), strict=True)
                if step > usual > 0
            ]
    return []


def _day(name: str) -> int | None:
    for form in ("%Y-%m-%d", "%Y%m%d", "%Y_%m_%d"):
        try:
            return datetime.datetime.strptime(name, form).toordinal()
        except ValueError:
            continue
    return None


def _month(name: str) -> int | None:
    found = re.fullmatch(r"(\d{4})[-_](\d{1,2})", name)
    return 12 * int(found[1]) + int(found[2]) if found else None


def _number(name: str) -> int | None:
    return int(name) if name.isdigit() else None


_PLACES: tuple[Callable[[str], int | None], ...] = (_day, _month, _number)
