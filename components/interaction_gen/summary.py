"""What a data set came to, and whether it can be trained on."""

from __future__ import annotations

import collections
import json
import os
from collections.abc import Mapping
from typing import Any

import apache_beam as beam
import pyarrow as pa
from tfx.dsl.io import fileio

from components.files import EVAL_SPLIT, PROFILE_FILE, SPLITS, SUMMARY_FILE, TRAIN_SPLIT
from components.interaction_gen import profile as profiles
from components.interaction_gen.settings import Split
from components.tables import shards
from components.tables.causes import MERGED, REJECTED, SHOWN_CAUSES, Cause, Unused, by_cause
from components.tables.records import ACCEPTED, LEFT_OUT, PRESENT, ROWS, UNREADABLE, Counts, vector_lengths
from components.tables.settings import Tables
from components.tables.spans import Window
from models.errors import UserError
from models.features import names as n
from models.features.feature_set import FeatureSet

_COUNTED = ("users", "known_users", *SPLITS, "positive")


class WriteSummary(beam.PTransform):
    """Writes `summary.json` and `profile.json` from the summaries of the shards.

    Args:
      uri: the directory.
      window: of the data.
      times: how the times are read, in words.
      causes: pairs of table and cause with how many rejected rows there are of it, and the first.
      counts: pairs as ReadTable gives them.
      items: packs of the items' ids, as a side input.
    """

    def __init__(self, uri: str, window: Window, times: str, causes: Any, counts: Any, items: Any):
        super().__init__()
        self._uri, self._window, self._times, self._items = uri, window, times, items
        self._causes, self._counts = causes, counts

    def expand(self, of_shards: beam.PCollection) -> beam.PCollection:
        sides = {
            "of_shards": beam.pvalue.AsList(of_shards),
            "causes": beam.pvalue.AsDict(self._causes),
            "counts": beam.pvalue.AsDict(self._counts),
            "items": self._items,
        }
        once = of_shards.pipeline | "Once" >> beam.Create([None])
        return once | "WriteSummary" >> beam.Map(_write, self._uri, self._window, self._times, **sides)


def _write(
    _: None,
    uri: str,
    window: Window,
    times: str,
    of_shards: list[dict[str, Any]],
    causes: Mapping[tuple[str, str], tuple[int, Unused]],
    counts: Counts,
    items: list[bytes],
) -> None:
    total = collections.Counter(dict.fromkeys(_COUNTED, 0))
    for one in of_shards:
        total.update({name: one[name] for name in _COUNTED if name in one})
    summary: dict[str, Any] = dict(total)
    for name, extreme in (("lowest_rating", min), ("highest_rating", max)):
        found = [one[name] for one in of_shards if name in one]
        summary[name] = extreme(found) if found else None
    found = by_cause(causes)
    ids = _distinct(items)
    tables = _tables(found, counts)
    summary |= {
        "spans": list(window.spans),
        "missing_spans": list(window.missing),
        "times": times,
        "interactions": summary[TRAIN_SPLIT] + summary[EVAL_SPLIT],
        "items": len(ids),
        "tables": tables,
        "rejected_rows": sum(table[REJECTED] for table in tables.values()),
        "duplicate_rows": tables.get("interactions", {}).get(MERGED, 0),
        "causes": [cause._asdict() for cause in found],
        LEFT_OUT: {what: count for (kind, what), count in sorted(counts.items()) if kind == LEFT_OUT},
        PRESENT: {what: count for (kind, what), count in sorted(counts.items()) if kind == PRESENT},
        UNREADABLE: _unreadable(counts),
    }
    fileio.makedirs(uri)
    profile = profiles.joined([one["profile"] for one in of_shards], ids)
    for name, content in ((SUMMARY_FILE, json.dumps(summary, indent=2)), (PROFILE_FILE, json.dumps(profile))):
        with fileio.open(os.path.join(uri, name), "w") as file:
            file.write(content)


def _tables(causes: list[Cause], counts: Counts) -> dict[str, dict[str, int]]:
    """What became of the rows of each table: the four add up to all of them."""
    tables = {
        what: {ROWS: count, ACCEPTED: 0, MERGED: 0, LEFT_OUT: 0, REJECTED: 0}
        for (kind, what), count in sorted(counts.items())
        if kind == ROWS
    }
    for (kind, what), count in counts.items():
        name = what.partition(".")[0]
        if kind in (ACCEPTED, MERGED, LEFT_OUT):
            tables[name][kind] += count
    for cause in causes:
        tables[cause.table][REJECTED] += cause.rows
    return tables


def _distinct(items: list[bytes]) -> pa.Array:
    ids = shards.unpack(items)
    return pa.array([], pa.string()) if ids is None else ids[n.ITEM_ID].unique()


def _unreadable(counts: Counts) -> dict[str, int]:
    """Values that are none of their kind, vectors of another length than most among them, by table and feature."""
    found = collections.Counter({what: count for (kind, what), count in counts.items() if kind == UNREADABLE and count})
    for table in ("items", "users"):
        for name, length in vector_lengths(counts, table).items():
            start = f"{table}.{name}/"
            of_another = [
                count
                for (kind, what), count in counts.items()
                if kind == PRESENT and what.startswith(start) and what != f"{start}{length}"
            ]
            found[f"{table}.{name}"] += sum(of_another)
    return {what: count for what, count in sorted(found.items()) if count}


def check(
    summary: dict[str, Any], data: Tables, split: Split, features: FeatureSet, directory: str, rejected_file: str
) -> None:
    """Raises UserError for data that cannot be trained on, or cannot teach what it is configured for."""
    accepted, rejected, tables = summary["interactions"], summary["rejected_rows"], summary["tables"]
    for name, table in data.by_name().items():
        if name not in tables and (name != "users" or features.users):
            raise UserError(f"{os.path.join(directory, table.file)}: the {name} table has no rows")
    if rejected > data.max_rejected_share * (rejected + accepted):
        causes = [str(Cause(**cause)) for cause in summary["causes"]]
        more = f"; and {len(causes) - SHOWN_CAUSES} more causes" if len(causes) > SHOWN_CAUSES else ""
        raise UserError(
            f"{directory}: {rejected:,} rows were rejected and {accepted:,} interactions accepted, more than the "
            f"allowed {data.max_rejected_share:.2%}: {'; '.join(causes[:SHOWN_CAUSES])}{more}. "
            f"They are listed in {rejected_file}; mend them, or raise data.max_rejected_share"
        )
    if not accepted:
        reasons = ", ".join(f"{what}: {count:,} rows" for what, count in summary[LEFT_OUT].items())
        raise UserError(f"{directory}: no interaction counts ({reasons}): check data.interactions.require and .where")
    for name in SPLITS:
        if not summary[name]:
            raise UserError(f"the split leaves no {name} interactions of {accepted:,}: {_fitting(split, summary)}")
    if features.users and not summary["known_users"]:
        raise UserError(
            f"{os.path.join(directory, data.users.file)}: none of its {tables['users'][ACCEPTED]:,} users has an "
            "interaction: check `user_id` in data.users.columns and data.interactions.columns, or leave data.users out"
        )
    _check_lessons(summary, features)


def _fitting(split: Split, summary: dict[str, Any]) -> str:
    """What to do where a split is empty."""
    if split.kind == "per_user_chronological":
        each = summary["interactions"] / summary["users"]
        return (
            f"users have {each:.1f} on average, too few to take {split.eval_share:.0%} of each one's: set split.kind: "
            "global_temporal, which takes the latest of all, or give more data"
        )
    if split.kind == "global_temporal":
        return "too many are of the same hour: set split.kind: per_user_chronological or random, or give more data"
    return "give more data, or change split.eval_share"


def _check_lessons(summary: dict[str, Any], features: FeatureSet) -> None:
    where = "data.interactions"
    if features.rated and summary["lowest_rating"] == summary["highest_rating"]:
        raise UserError(
            f"{where}.columns.rating: all ratings are {summary['lowest_rating']:g}, which teaches nothing: "
            "leave `rating` out of columns"
        )
    if features.positive is not None and summary["positive"] in (0, summary[TRAIN_SPLIT]):
        which = "nothing" if not summary["positive"] else "everything"
        raise UserError(
            f"{where}.positive: {which} is positive, which teaches nothing: choose another limit or other kinds of "
            "events, or leave `positive` out"
        )
    for table, declared in (("items", features.items), ("users", features.users), ("interactions", features.context)):
        for name in declared:
            found = [count for what, count in summary[PRESENT].items() if _is_of(what, f"{table}.{name}")]
            if name != n.TITLE and not any(found):
                section = f"{where}.context" if table == "interactions" else f"data.{table}.features"
                raise UserError(
                    f"{section}.{name}: no row has a value that can be read: check its `column` and `kind`, or leave "
                    "it out"
                )


def _is_of(what: str, feature: str) -> bool:
    return what.partition("/")[0] == feature
