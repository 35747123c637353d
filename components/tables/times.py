"""Columns of times: what they show, and their texts or numbers to Unix seconds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.tables.settings import UNITS, Time
from models.features.kinds import parse_numbers

MAX_TIMESTAMP = 32_503_680_000  # The year 3000 in seconds.
_PLAUSIBLE = (315_532_800, 4_102_444_800)  # 1980 to 2100.
_LONG = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_ISO = r"^\d{4}-?\d\d-?\d\d([T ]\d\d:?\d\d(:?\d\d([.,]\d+)?)?( ?(Z|UTC|GMT|[+-]\d\d(:?\d\d)?))?)?$"
_ZONED = r"[T ].*(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$"  # Of those.
_DAY_AS_NUMBER = r"^(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$"


class Implausible(Exception):
    """A column that holds no such times; the text says what it seems to hold."""


def recognised(values: pa.Array, time: Time) -> Time:
    """How the times of a column are written, by its first values.

    Seconds and ISO 8601 show themselves. What would be far from today as what it is said or taken to be, but not in
    another unit, is refused: a guess of the unit might be wrong by a factor of 1,000 for rows that are not seen here.

    Raises:
      Implausible: the values are no times, or none in this unit.
    """
    if pa.types.is_timestamp(values.type) or "%" in (time.unit or ""):
        return time
    texts = values.cast(pa.string()) if pa.types.is_integer(values.type) else values
    there = texts.drop_null()
    if pa.types.is_string(there.type):
        there = there.filter(pc.not_equal(there, ""))
    if not len(there):
        return time.model_copy(update={"unit": time.unit or "s"})
    is_text = pa.types.is_string(there.type)
    shows_dates = is_text and (
        _share(there, _ISO) > 0.5 >= _share(there, r"^\d+$") or _share(there, _DAY_AS_NUMBER) == 1
    )
    if shows_dates and time.unit in (None, "iso"):
        return time.model_copy(update={"unit": "iso"})
    numbers, bad = parse_numbers(there)
    if shows_dates or time.unit == "iso" or bad.mean() > 0.5:
        shown = there[0] if shows_dates or not bad.any() else there.filter(pa.array(bad))[0]
        kind = "ISO 8601" if shows_dates else "numbers" if bad.mean() <= 0.5 else "neither numbers nor ISO 8601"
        unit = "iso" if shows_dates else "s" if bad.mean() <= 0.5 else '"%d/%m/%Y %H:%M", as they are written'
        raise Implausible(f"its times, as {shown.as_py()!r}, are {kind}: set {{key}}.unit: {unit}")
    middle = float(np.nanmedian(numbers.to_numpy(zero_copy_only=False)))
    unit = time.unit or "s"
    if not is_plausible(middle, unit):
        for other in UNITS:
            if is_plausible(middle, other):
                raise Implausible(
                    f"its times, as {middle:.0f}, would lie in {_year(middle, unit)} as {_LONG[unit]} and in "
                    f"{_year(middle, other)} as {_LONG[other]} since 1970: set {{key}}.unit: {other}"
                )
        if middle / UNITS[unit] > MAX_TIMESTAMP:
            raise Implausible(f"its times, as {middle:.0f}, are past the year 3000 in every unit: set {{key}}.unit")
    return time.model_copy(update={"unit": unit})


def describe(time: Time, values: pa.Array) -> str:
    """How a column's times are read, for people."""
    if pa.types.is_timestamp(values.type):
        return f"as the file has them{_in_zone(time) if values.type.tz is None else ''}"
    if time.unit in _LONG:
        return f"{_LONG[time.unit]} since 1970"
    return ("ISO 8601" if time.unit == "iso" else f"{time.unit}") + f"{_in_zone(time)} where no zone is said"


def seconds(values: pa.Array, time: Time) -> tuple[np.ndarray, np.ndarray]:
    """[n] times to int64 Unix seconds, cut to whole ones, and which are none; 0 where missing or none."""
    if pa.types.is_timestamp(values.type):  # The file says it.
        if values.type.tz is None:
            values = pc.assume_timezone(values, time.time_zone, ambiguous="earliest", nonexistent="latest")
        return pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False), np.zeros(len(values), bool)
    if time.unit is None or time.unit in UNITS:
        return _of_numbers(values, UNITS[time.unit or "s"])
    return _of_dates(values.cast(pa.string()) if pa.types.is_integer(values.type) else values, time)


def _of_numbers(values: pa.Array, per_second: int) -> tuple[np.ndarray, np.ndarray]:
    try:  # A float does not hold nanoseconds.
        whole = pc.fill_null(values.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
        return whole // per_second, np.zeros(len(values), bool)
    except pa.ArrowInvalid:
        numbers, bad = parse_numbers(values)
        found = np.floor(pc.fill_null(numbers, 0.0).to_numpy(zero_copy_only=False) / per_second)
        return np.clip(found, -(2.0**62), 2.0**62).astype(np.int64), bad


def _of_dates(texts: pa.Array, time: Time) -> tuple[np.ndarray, np.ndarray]:
    if not pa.types.is_string(texts.type):
        texts = texts.cast(pa.string())
    texts = pc.fill_null(texts, "")
    if time.unit == "iso":
        texts = pc.if_else(pc.match_substring_regex(texts, _ISO), pc.replace_substring(texts, ",", "."), "")
        zoned = pc.match_substring_regex(texts, _ZONED).to_numpy(zero_copy_only=False)
    else:
        zoned = np.full(len(texts), "%z" in time.unit.lower())
    series = texts.to_pandas()
    layout = None if time.unit == "iso" else time.unit  # Without one pandas knows those of ISO.
    found = np.zeros(len(series), np.int64)
    bad = np.zeros(len(series), bool)
    for which, with_zone in ((zoned, True), (~zoned, False)):
        if not which.any():
            continue
        moments = pd.to_datetime(series[which], format=layout, errors="coerce", utc=with_zone)
        if not with_zone:  # A time that does not exist there, as clocks go forward, is the next that does.
            moments = moments.dt.tz_localize(
                time.time_zone, ambiguous=np.ones(len(moments), bool), nonexistent="shift_forward"
            )
        missing = moments.isna().to_numpy()
        in_utc = moments.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[s]").astype(np.int64)
        found[which], bad[which] = np.where(missing, 0, in_utc), missing
    return found, bad


def _share(texts: pa.Array, pattern: str) -> float:
    return pc.mean(pc.match_substring_regex(texts, pattern).cast(pa.int8())).as_py()


def is_plausible(number: float, unit: str) -> bool:
    """Whether a number is of a time between 1980 and 2100."""
    return _PLAUSIBLE[0] <= number / UNITS[unit] <= _PLAUSIBLE[1]


def _year(number: float, unit: str) -> str:
    years = 1970 + number / UNITS[unit] / 31_556_952
    return f"{int(years)}" if years < 10_000 else f"the year {years:,.0f}"


def _in_zone(time: Time) -> str:
    return f", {time.time_zone}"
