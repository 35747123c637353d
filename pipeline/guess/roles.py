"""Which table and which columns are what, with the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from components.tables.settings import Time
from models.errors import UserError
from models.features import names as n
from pipeline.guess import words
from pipeline.guess.columns import Column, describe
from pipeline.guess.entities import charges, joined, layout, within
from pipeline.guess.sources import Source
from pipeline.guess.told import Decision, Guess, Told, example, shown

_MOST_EVENTS, _MOST_RATINGS, _FEW_RATINGS = 12, 101, 21
_REPEATED = 0.05  # Share of rows that repeat a user and an item, from which on items are taken to repeat.
_WANTED = 0.6  # Share of the ratings that may be positive.


def guess(sources: Sequence[Source]) -> Guess:
    """Decides for all tables of a directory.

    Raises:
      UserError: no table has users, items and times.
    """
    told = [
        Told(source, [found for name, array in source.columns.items() if (found := describe(name, array))])
        for source in sources
    ]
    rated = [(found, one) for one in told if (found := _interactions(one))]
    if not rated:
        there = [f"{one.file} has {', '.join(str(column.source) for column in one.columns)}" for one in told]
        raise UserError(
            "no table seems to hold interactions, which need a column of users, one of items, and one of times: "
            + "; ".join(there)
        )
    (_, keys), of = max(rated, key=lambda pair: pair[0][0])
    guessed = Guess({}, [])
    data: dict[str, Any] = {}
    share = _repeated(keys[n.USER_ID], keys[n.ITEM_ID])
    guessed.tree["repeats"] = share >= _REPEATED
    why = f"in {share:.1%} of the first rows a user comes back to an item; if true, it may be recommended again"
    guessed.decisions.append(Decision("repeats", why, not _REPEATED / 5 < share < _REPEATED * 2))
    guessed.tree["data"] = data
    data["interactions"], rest = _table_of_interactions(of, keys, guessed.decisions)
    for name, field, own, others in (
        ("items", n.ITEM_ID, words.ITEM, words.USER),
        ("users", n.USER_ID, words.USER, words.ITEM),
    ):
        left = [one for one in told if one.file not in _files(data)]
        key, taken = keys[field], data.get("items", {}).get("features", {})
        inside = None
        if found := joined(left, key, own, others):
            why = f"its column {found[1].source!r} has the values of {key.source!r} of the interactions, each once"
        elif inside := within(of, key, rest, _counts(of, data["interactions"])):
            found = inside, inside.columns[0]
            names = [str(column.source) for column in inside.columns[1:]]
            rest = [column for column in rest if str(column.source) not in names]
            of_one = f"the same in the rows of one {name.removesuffix('s')}"
            why = f"no table of {name}; but {', '.join(names)} of the interactions, {of_one}, make one"
        if found:
            data[name] = layout(name, *found, why, field, taken, guessed.decisions)
        if inside and key.filled < 1:
            data[name]["require"] = [field]
            why = f"rows of the interactions without {key.source!r} tell of none"
            guessed.decisions.append(Decision(f"data.{name}.require", why))
        if inside and "where" in data["interactions"]:
            data[name]["where"] = data["interactions"]["where"]
            guessed.decisions.append(Decision(f"data.{name}.where", "as the interactions"))
        if found and name == "items" and guessed.tree["repeats"] and (never := charges(*found)):
            guessed.tree["index"] = {"never": {"where": {n.ITEM_ID: list(never)}}}
            said = ", ".join(dict.fromkeys(never.values()))
            why = f"by their titles no goods: {said}; they count in histories, and are never recommended"
            guessed.decisions.append(Decision("index.never", why, False))
    if rest:
        names = ", ".join(str(column.source) for column in rest)
        why = f"not used: {names}; what a request brings along, as a device, may stand under `context`"
        guessed.decisions.append(Decision("data.interactions", why))
    _say_the_rest([one for one in told if one.file not in _files(data)], guessed.decisions)
    return guessed


def _counts(told: Told, table: dict[str, Any]) -> np.ndarray:
    """[rows] whether each counts, by the numbers that have to be above 0."""
    above = [column.numbers > 0 for column in told.columns if column.source in table.get("where", {})]
    return np.all(above, axis=0) if above else np.ones(told.source.rows, bool)


def _files(data: dict[str, Any]) -> set[Any]:
    return {table["file"] for table in data.values()}


def _interactions(told: Told) -> tuple[float, dict[str, Column]] | None:
    """How much a table looks like interactions, and its user, item and time; None where it has not all three."""
    found_times = [column for column in told.columns if column.time]
    ids = [column for column in told.columns if _may_be_id(column)]
    if not found_times or len(ids) < 2:
        return None
    time = max(found_times, key=lambda column: (column.called(words.TIME), column.distinct))
    ids = [column for column in ids if column is not time]
    if len(ids) < 2:
        return None
    user = max(ids, key=lambda column: _named(column, words.USER, words.ITEM))  # Of equal ones the first.
    rest = [column for column in ids if column is not user]
    item = max(rest, key=lambda column: _named(column, words.ITEM, words.USER))
    score = _named(user, words.USER, words.ITEM) + _named(item, words.ITEM, words.USER) + time.called(words.TIME)
    score += (user.repeats > 1.05) + (item.repeats > 1.05) + len(time.texts) / 1e7
    return score, {n.USER_ID: user, n.ITEM_ID: item, n.TIMESTAMP: time}


def _may_be_id(column: Column) -> bool:
    named = column.called(words.USER | words.ITEM)
    plain = not column.is_list and column.filled > 0.3 and (column.numbers is None or column.whole)
    return (
        plain
        and column.distinct > 1
        and (named or (column.repeats > 1.05 and not column.called(words.RATING | words.EVENT)))
    )


def _named(column: Column, these: frozenset[str], others: frozenset[str]) -> float:
    named = column.called(these)
    return 3.0 * named - 3.0 * column.called(others) + 0.5 * named * column.called(words.ID)


def _repeated(user: Column, item: Column) -> float:
    """Share of the rows that repeat a user and an item."""
    pairs = pd.DataFrame({"user": user.texts.to_pandas(), "item": item.texts.to_pandas()})
    pairs = pairs[(pairs.user != "") & (pairs.item != "")]
    return float(pairs.duplicated().mean()) if len(pairs) else 0.0


def _table_of_interactions(
    told: Told, keys: dict[str, Column], decisions: list[Decision]
) -> tuple[dict[str, Any], list[Column]]:
    """The table as a configuration has it, and the columns that it has no use for."""
    at = "data.interactions"
    table: dict[str, Any] = dict(told.source.layout)
    decisions.append(Decision(f"{at}.file", "it has users, items and times, and they come more than once"))
    decisions += [Decision(at, note, False) for note in told.source.notes]
    columns = table["columns"] = {name: column.source for name, column in keys.items()}
    for name, called in ((n.USER_ID, words.USER), (n.ITEM_ID, words.ITEM), (n.TIMESTAMP, words.TIME)):
        column = keys[name]
        if column.called(called):
            decisions.append(Decision(f"{at}.columns.{name}", f"by its name; {shown(column)}"))
        else:
            why = f"by its values alone: {shown(column)}"
            decisions.append(Decision(f"{at}.columns.{name}", why, name == n.TIMESTAMP))
    _say_time(table, keys[n.TIMESTAMP], at, decisions)
    rest = [column for column in told.columns if column not in keys.values()]
    rest = [column for column in rest if not _used(table, columns, column, at, decisions)]
    if keys[n.USER_ID].filled < 1:
        table["require"] = [n.USER_ID]
        share = 1 - keys[n.USER_ID].filled
        decisions.append(Decision(f"{at}.require", f"{share:.0%} of the first rows have no user; they are left out"))
    return table, rest


def _used(table: dict, columns: dict, column: Column, at: str, decisions: list[Decision]) -> bool:
    """Takes a column as rating, event or quantity, if it is one."""
    numbers = column.numbers
    named = column.called(words.RATING)
    few = 2 <= column.distinct <= (_MOST_RATINGS if named else _FEW_RATINGS)
    if numbers is not None and few and (named or not column.words or isinstance(column.source, int)):
        columns[n.RATING] = column.source
        by = "by its name" if named else "numbers of few different values"
        decisions.append(Decision(f"{at}.columns.{n.RATING}", f"{by}; {shown(column)}", named))
        if positive := _positive(numbers):
            table["positive"] = positive
            share = np.nanmean(numbers >= positive)
            decisions.append(Decision(f"{at}.positive", f"{share:.0%} of the ratings; what is good in yours?", False))
        return True
    if numbers is None and column.called(words.EVENT) and 1 < column.distinct <= _MOST_EVENTS:
        columns[n.EVENT] = column.source
        kinds = sorted(one for one in pc.unique(column.texts).to_pylist() if one)
        table["events"] = {kind: _weight(kind) for kind in kinds}
        decisions.append(Decision(f"{at}.columns.{n.EVENT}", f"by its name; {shown(column)}"))
        decisions.append(Decision(f"{at}.events", "weights in training, guessed by their names", False))
        wanted = [kind for kind, weight in table["events"].items() if weight > 1]
        if wanted and len(wanted) < len(kinds):
            table["positive"] = wanted
            decisions.append(Decision(f"{at}.positive", "what the second stage wants more of", False))
        return True
    if numbers is not None and column.called(words.QUANTITY) and np.nanmin(numbers) <= 0 < np.nanmax(numbers):
        table["where"] = {column.source: {"above": 0}}
        share = np.nanmean(numbers <= 0)
        decisions.append(Decision(f"{at}.where", f"{share:.1%} of the first rows take something back; left out"))
        return True
    return False


def _positive(numbers: np.ndarray) -> float | None:
    """The lowest rating that leaves no more than a certain share positive."""
    for value in np.unique(numbers[~np.isnan(numbers)]):
        if np.nanmean(numbers >= value) <= _WANTED:
            return float(value)
    return None


def _weight(kind: str) -> float:
    parts = kind.lower().replace("_", " ").replace("-", " ").split()
    return next((weight for weight, known in words.WEIGHTS.items() if {*parts, "".join(parts)} & known), 1.0)


def _say_time(table: dict, column: Column, at: str, decisions: list[Decision]) -> None:
    time = column.time or Time()
    if time.unit not in (None, "s", "iso"):
        table["timestamp"] = {"unit": time.unit}
        decisions.append(Decision(f"{at}.timestamp", f"as its first rows are written, {example(column)}"))
    if column.time_note:
        decisions.append(Decision(f"{at}.columns.{n.TIMESTAMP}", column.time_note, False))
    if time.unit not in ("s", "ms", "us", "ns"):
        why = "times without a zone count as UTC; else set `timestamp: {time_zone: Europe/London}`"
        decisions.append(Decision(f"{at}.columns.{n.TIMESTAMP}", why, False))


def _say_the_rest(told: Sequence[Told], decisions: list[Decision]) -> None:
    for one in told:
        decisions.append(Decision("data", f"{one.file} is not used: nothing in it fits", False))
