"""What the beginning of a column shows."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.tables import times, values
from components.tables.settings import Time
from models.features.kinds import parse_numbers
from pipeline.guess import words

_FORMATS = [
    f"{date}{clock}"
    for clock in (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", "")
    for date in ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%m/%d/%y", "%d/%m/%y")
]
_TRIED = 2_000  # Values of a column that formats are tried on.
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SEPARATORS = ("|", ";", ",")


class Column(NamedTuple):
    """What is known of a column.

    Attributes:
      source: its name, or its position.
      words: of its name, in small letters.
      texts: its values as texts, "" where missing.
      filled: share of the rows that have a value.
      distinct: number of different values.
      numbers: [n] float64, NaN where there is none; None where it is no column of numbers.
      whole: whether all numbers are whole.
      time: how its values are written as times; None where they are none.
      time_note: what was not sure about that.
      is_list: whether a Parquet file has lists in it.
    """

    source: str | int
    words: tuple[str, ...]
    texts: pa.Array
    filled: float
    distinct: int
    numbers: np.ndarray | None
    whole: bool
    time: Time | None
    time_note: str
    is_list: bool

    @property
    def repeats(self) -> float:
        """How many rows a value has, on average."""
        return len(self.texts) * self.filled / max(self.distinct, 1)

    def called(self, names: frozenset[str]) -> bool:
        """Whether one of the words, or the whole name, is among these."""
        return not names.isdisjoint([*self.words, "".join(self.words)])

    def separator(self) -> str | None:
        """What stands between the tags of a field: of few different parts, and in a tenth of the fields at least."""
        there = self.texts.filter(pc.not_equal(self.texts, ""))
        for separator in _SEPARATORS:
            if len(there) and pc.mean(pc.match_substring(there, separator).cast(pa.int8())).as_py() >= 0.1:
                parts = pc.list_flatten(pc.split_pattern(there, separator))
                if (
                    len(pc.unique(parts)) <= max(30, len(parts) / 20)
                    and not pc.any(pc.match_substring(parts, ". ")).as_py()
                ):
                    return separator
        return None


def describe(source: str | int, array: pa.Array) -> Column | None:
    """Looks at a column; None for one that is made of parts, as a struct."""
    if values.is_list(array.type):
        return Column(source, _words(source), pa.array([""] * len(array)), 1.0, 0, None, False, None, "", True)
    is_time = pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)
    try:
        texts, _ = values.of_column(array.cast(pa.string()) if is_time else array, "text", False)
    except values.Unfit:
        return None
    there = texts.filter(pc.not_equal(texts, ""))
    numbers = _numbers(texts) if len(there) else None
    time, note = (Time(), "") if is_time else _time(there, numbers, _words(source))
    return Column(
        source,
        _words(source),
        texts,
        len(there) / max(len(texts), 1),
        len(pc.unique(there)),
        numbers,
        numbers is not None and bool((np.nan_to_num(numbers) % 1 == 0).all()),
        time,
        note,
        False,
    )


def _words(source: str | int) -> tuple[str, ...]:
    return tuple(word.lower() for word in _WORDS.findall(str(source)))


def _numbers(texts: pa.Array) -> np.ndarray | None:
    numbers, bad = parse_numbers(texts)
    return None if bad.any() else numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)


def _time(there: pa.Array, numbers: np.ndarray | None, names: tuple[str, ...]) -> tuple[Time | None, str]:
    if not len(there):
        return None, ""
    there = there[:_TRIED]
    for unit in (None, "ms", "us", "ns") if numbers is not None else (None,):
        try:
            found = times.recognised(there, Time(unit=unit))
        except times.Implausible:
            continue
        counted = found.unit == "s"
        if counted and (numbers is None or not times.is_plausible(float(np.nanmedian(numbers)), "s")):
            if numbers is None or not {*names}.intersection(words.TIME):
                return None, ""  # Any numbers might be seconds.
            return found, "as seconds they are far from today; their order counts all the same"
        return found, ""
    if numbers is not None:
        return None, ""
    series = there.to_pandas()
    fits = [form for form in _FORMATS if not pd.to_datetime(series, format=form, errors="coerce").isna().any()]
    if not fits:
        return None, ""
    note = f"{fits[1]} would fit its first rows, too" if len(fits) > 1 else ""
    return Time(unit=fits[0]), note
