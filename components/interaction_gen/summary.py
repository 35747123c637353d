"""What a data set came to, and whether it can be trained on."""

from __future__ import annotations

import collections
import json
import os
from typing import Any

import apache_beam as beam
from tfx.dsl.io import fileio

from components.files import EVAL_SPLIT, SPLITS, SUMMARY_FILE, TRAIN_SPLIT
from components.tables import shards
from components.tables.reading import SHOWN_REASONS, Rejected
from components.tables.records import LEFT_OUT, PRESENT, UNREADABLE, Counts, vector_lengths
from components.tables.settings import Tables
from models.errors import UserError
from models.features import names as n
from models.features.feature_set import FeatureSet

_COUNTED = ("users", "duplicate_rows", *SPLITS, "positive")

DUPLICATE = "duplicate of line"  # Begins the reason of a row that is merged, and not broken.


class WriteSummary(beam.PTransform):
    """Writes `summary.json` from the summaries of the shards.

    Args:
      uri: the directory.
      span: the data's.
      listed: the first rejected rows, as a list.
      rejected: their number.
      counts: as ReadTable gives them.
      items: packs of the items' ids, as a side input.
    """

    def __init__(self, uri: str, span: str, listed: Any, rejected: Any, counts: Any, items: Any):
        super().__init__()
        self._uri, self._span, self._items = uri, span, items
        self._listed, self._rejected, self._counts = listed, rejected, counts

    def expand(self, of_shards: beam.PCollection) -> beam.PCollection:
        sides = {
            "of_shards": beam.pvalue.AsList(of_shards),
            "listed": beam.pvalue.AsSingleton(self._listed),
            "rejected": beam.pvalue.AsSingleton(self._rejected),
            "counts": beam.pvalue.AsDict(self._counts),
            "items": self._items,
        }
        once = of_shards.pipeline | "Once" >> beam.Create([None])
        return once | "WriteSummary" >> beam.Map(_write, uri=self._uri, span=self._span, **sides)


def _write(
    _: None,
    uri: str,
    span: str,
    of_shards: list[dict[str, Any]],
    listed: list[Rejected],
    rejected: int,
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
    broken = [row for row in listed if not row.reason.startswith(DUPLICATE)]
    shown = [f"{os.path.basename(row.file)}, line {row.line}: {row.reason}" for row in broken[:SHOWN_REASONS]]
    summary |= {
        "span": span,
        "interactions": summary[TRAIN_SPLIT] + summary[EVAL_SPLIT],
        "items": _distinct(items),
        "rejected_rows": rejected,
        "first_rejected": shown,
        LEFT_OUT: {what: count for (kind, what), count in sorted(counts.items()) if kind == LEFT_OUT},
        PRESENT: {what: count for (kind, what), count in sorted(counts.items()) if kind == PRESENT},
        UNREADABLE: _unreadable(counts),
    }
    fileio.makedirs(uri)
    with fileio.open(os.path.join(uri, SUMMARY_FILE), "w") as file:
        file.write(json.dumps(summary, indent=2))


def _distinct(items: list[bytes]) -> int:
    ids = shards.unpack(items)
    return 0 if ids is None else len(ids[n.ITEM_ID].unique())


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


def check(summary: dict[str, Any], data: Tables, features: FeatureSet, directory: str, rejected_file: str) -> None:
    """Raises UserError for data that cannot be trained on, or cannot teach what it is configured for."""
    accepted = summary["interactions"]
    rejected = summary["rejected_rows"] - summary["duplicate_rows"]
    if rejected > data.max_rejected_share * (rejected + accepted):
        raise UserError(
            f"{directory}: {rejected} rows were rejected and {accepted} interactions accepted, more than the allowed "
            f"{data.max_rejected_share:.2%}: {'; '.join(summary['first_rejected'])}. "
            f"They are listed in {rejected_file}; mend them, or raise data.max_rejected_share"
        )
    if not accepted:
        reasons = ", ".join(f"{what}: {count:,} rows" for what, count in summary[LEFT_OUT].items())
        raise UserError(f"{directory}: no interaction counts ({reasons}): check data.interactions.require and .where")
    for split in SPLITS:
        if not summary[split]:
            raise UserError(
                f"the split leaves no {split} interactions of {accepted}: give more data, or change split.eval_share"
            )
    _check_lessons(summary, features)


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
            if name != n.TITLE and not any(found):  # Titles are texts that are not counted.
                section = f"{where}.context" if table == "interactions" else f"data.{table}.features"
                raise UserError(
                    f"{section}.{name}: no row has a value that can be read: check its `column` and `kind`, or leave "
                    "it out"
                )


def _is_of(what: str, feature: str) -> bool:
    return what.partition("/")[0] == feature
