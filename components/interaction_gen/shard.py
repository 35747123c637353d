"""The users of a shard to its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.files import SPLITS
from components.interaction_gen import timelines
from components.interaction_gen.settings import Split
from components.interaction_gen.summary import DUPLICATE
from components.tables import shards
from components.tables.parsing import FILE, LINE
from components.tables.reading import Rejected
from components.tables.records import REJECTED, Counts, feature_columns, first_rows, to_examples, vector_lengths
from models.features import names as n
from models.features.feature_set import FeatureSet


class ToExamples(beam.DoFn):
    """Orders, splits and writes a shard's interactions.

    Yields what the writer has to commit, and to outputs of these names the REJECTED rows and each shard's `summary`.
    """

    def __init__(self, split: Split, features: FeatureSet, files: Sequence[str], number: int, writer: shards.Writer):
        """As InteractionGen has them; `number` is that of all shards."""
        self._split = split
        self._features = features
        self._files = files
        self._number = number
        self._writer = writer

    def process(
        self,
        element: tuple[int, Mapping[str, Any]],
        counts: Counts,
        items: list[bytes] | None = None,
        cut: int | None = None,
    ) -> Iterator[tuple[str, str] | beam.pvalue.TaggedOutput]:
        """`counts`: as ReadTable gives them; `items`: packs of the catalogue's ids, None: every item is known."""
        shard, groups = element
        rows = shards.unpack(groups["rows"])
        if rows is None:
            return
        ordered = timelines.order(rows)
        if items is not None:
            known = pc.is_in(ordered.rows[n.ITEM_ID], shards.unpack(items)[n.ITEM_ID]).to_numpy()
            yield from self._rejected(ordered, ~known, lambda row: f"item {row[n.ITEM_ID]!r} is not in the catalogue")
            ordered = ordered.filter(known)
        first = timelines.duplicates(ordered)
        merged = first >= 0
        yield from self._rejected(ordered, merged, lambda row: self._duplicate(row, ordered, first))
        ordered = ordered.filter(~merged)

        summary = {"duplicate_rows": int(merged.sum()), "users": len(np.unique(ordered.user))}
        in_eval = timelines.eval_mask(ordered, self._split, cut)
        users = self._user_columns(ordered.users, shards.unpack(groups.get("users", ())), counts)
        for split, mask in zip(SPLITS, (~in_eval, in_eval), strict=True):
            part = ordered.filter(mask)
            summary[split] = len(part.user)
            if not len(part.user):
                continue
            lists, length = self._features.of_interactions(), self._features.histories.length
            columns, user = timelines.examples(part, lists, length)
            columns |= {name: column.take(pa.array(user)) for name, column in users.items()}
            yield self._writer.write(split, shards.file_name(shard, self._number), to_examples(columns))
        yield beam.pvalue.TaggedOutput("summary", summary | _figures(ordered, ~in_eval, self._features))

    def _user_columns(self, ids: pa.Array, table: pa.Table | None, counts: Counts) -> dict[str, pa.Array]:
        columns = {n.USER_ID: ids}
        if table is not None:
            table = first_rows(table, n.USER_ID)
            places = pc.index_in(ids, table[n.USER_ID].combine_chunks())
            features = feature_columns(table, self._features.users, vector_lengths(counts, "users"))
            columns |= {name: values.take(places) for name, values in features.items()}
        return columns

    def _rejected(self, ordered: timelines.Ordered, mask: np.ndarray, reason: Any) -> Iterator[Any]:
        for place, row in zip(np.flatnonzero(mask), ordered.rows.filter(pa.array(mask)).to_pylist(), strict=True):
            text = ",".join(str(value) for name, value in row.items() if name not in (FILE, LINE))
            why = reason(row | {"place": place})
            yield beam.pvalue.TaggedOutput(REJECTED, Rejected(self._files[row[FILE]], row[LINE], why, text))

    def _duplicate(self, row: dict[str, Any], ordered: timelines.Ordered, first: np.ndarray) -> str:
        file, line = (ordered.rows[name][first[row["place"]]].as_py() for name in (FILE, LINE))
        place = "" if file == row[FILE] else f" of {self._files[file]}"
        return f"{DUPLICATE} {line}{place}"


def _figures(ordered: timelines.Ordered, in_train: np.ndarray, features: FeatureSet) -> dict[str, float]:
    """Of train rows: the range of ratings, and how many are positive."""
    train = ordered.rows.filter(pa.array(in_train))
    figures = {}
    if not len(train):
        return figures
    if features.rated:
        range_ = pc.min_max(train[n.RATING]).as_py()
        figures |= {"lowest_rating": range_["min"], "highest_rating": range_["max"]}
    if isinstance(features.positive, list):
        figures["positive"] = pc.sum(pc.is_in(train[n.EVENT], pa.array(features.positive, pa.string()))).as_py()
    elif features.positive is not None:
        limit = pa.scalar(features.positive, pa.float32())  # As Transform compares.
        figures["positive"] = pc.sum(pc.greater_equal(train[n.RATING], limit)).as_py()
    return figures
