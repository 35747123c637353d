"""Which table has the items, or the users, and what it says of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.features import names as n
from pipeline.guess import words
from pipeline.guess.columns import Column, describe
from pipeline.guess.features import features, title
from pipeline.guess.told import Decision, Told, example

_JOINED, _UNIQUE = 0.3, 0.95  # Shares of the key's values that are there, and of the rows that have one of their own.
_MOST_CHARGES = 20  # More are a shop's goods.
_SAME = 0.9  # How much better than the most frequent value the key has to tell a column, from 0 to 1.


def joined(
    told: Sequence[Told], key: Column, own_words: frozenset[str], others: frozenset[str]
) -> tuple[Told, Column] | None:
    """The table whose column has each of a key's values once, and that column; None where there is none.

    Numbers that count up are in every table. So a column of them has to be called like the key, or to be the first.
    """
    wanted = pc.unique(_plain(key.texts))
    best, found = 0.0, None
    for one in told:
        for column in one.columns:
            if column.is_list or column.distinct < _UNIQUE * column.filled * len(column.texts) or column.filled < 0.5:
                continue
            same = column.source == key.source or column.called(own_words)
            if column.called(others) or not (same or column.numbers is None or column is one.columns[0]):
                continue
            own = pc.unique(_plain(column.texts))
            share = pc.sum(pc.is_in(wanted, own)).as_py() / max(min(len(wanted), len(own)), 1)
            if share < _JOINED:
                continue
            told_more = 0.1 * len(features([other for other in one.columns if other is not column]).features)
            if share + same + told_more > best:
                best, found = share + same + told_more, (one, column)
    return found


def within(of: Told, key: Column, columns: Sequence[Column], counts: np.ndarray) -> Told | None:
    """A table of a key's values, made of those columns of the interactions that tell the same in all rows of a value.

    None where there is no such column. `counts` is which of the rows do.
    """
    keys = key.texts.to_pandas()
    keys = keys[(keys != "") & counts]
    found = {key.source: keys.drop_duplicates()}
    for column in columns:
        texts = column.texts.to_pandas()[keys.index]
        there = texts[(texts != "") & keys.duplicated(keep=False)]
        if there.nunique() < 2:  # Nor does a column of lists have texts.
            continue
        told = there.groupby([keys[there.index], there]).size().groupby(level=0).max().sum() / len(there)
        often = there.value_counts(normalize=True).iloc[0]
        if (told - often) / (1 - often) >= _SAME:
            found[column.source] = found[key.source].map(texts[texts != ""].groupby(keys).first()).fillna("")
    if len(found) == 1:
        return None
    arrays = {source: pa.array(texts, pa.string()) for source, texts in found.items()}
    described = [one for source, texts in arrays.items() if (one := describe(source, texts))]
    return Told(of.source._replace(columns=arrays, notes=[]), described)


def charges(told: Told, own: Column) -> dict[str, str]:
    """Items that a shop bills and does not sell, as postage: their ids and titles, of which all words say so."""
    if (named := title([column for column in told.columns if column is not own])) is None:
        return {}
    pairs = zip(own.texts.to_pylist(), named.texts.to_pylist(), strict=True)
    found = {key: text for key, text in pairs if key and words.is_charge(text)}
    return found if len(found) <= _MOST_CHARGES else {}


def _plain(texts: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(texts.filter(pc.not_equal(texts, "")), r"\.0+$", "")


def layout(
    name: str, told: Told, own: Column, why: str, field: str, taken: Collection[str], decisions: list[Decision]
) -> dict[str, Any]:
    """The table of items or users, as a configuration has it.

    Args:
      name: `items` or `users`.
      told: the table.
      own: its column of ids.
      why: the reason for the table.
      field: our name of the ids.
      taken: names of features that another table has.
      decisions: where the reasons go.
    """
    at = f"data.{name}"
    table: dict[str, Any] = dict(told.source.layout)
    decisions += [Decision(at, note, False) for note in told.source.notes]
    decisions.append(Decision(f"{at}.file", why))
    table["columns"] = {field: own.source}
    rest = [column for column in told.columns if column is not own]
    if name == "items" and (named := title(rest)):
        table["columns"][n.TITLE] = named.source
        sure = isinstance(named.source, str)
        decisions.append(Decision(f"{at}.columns.{n.TITLE}", f"what people see: {example(named)}", sure))
        rest.remove(named)
    found = features(rest, taken, name.removesuffix("s"))
    if found.features:
        table["features"] = found.features
    decisions += [Decision(f"{at}.features.{one}", why, sure) for one, why, sure in found.why]
    return table
