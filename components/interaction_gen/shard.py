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
from components.interaction_gen.profile import profile
from components.interaction_gen.settings import Split
from components.tables import shards
from components.tables.causes import REJECTED
from components.tables.records import Counts, accepted_or, feature_columns, merge, to_examples, unused, vector_lengths
from models.features import names as n
from models.features.feature_set import FeatureSet


class ToExamples(beam.DoFn):
    """Orders, splits and writes a shard's interactions.

    Yields what the writer has to commit, and to outputs of these names the UNUSED rows, COUNTS and each shard's
    `summary`.

    Args:
      split, features: as InteractionGen has them.
      files: of interactions and of users.
      number: of all shards.
      writer: of the examples.
      repeated: what becomes of a row that repeats another, REJECTED or MERGED.
      by_interactions: whether the users' table is told by the interactions' rows.
    """

    def __init__(
        self,
        split: Split,
        features: FeatureSet,
        files: Mapping[str, Sequence[str]],
        number: int,
        writer: shards.Writer,
        repeated: str,
        by_interactions: bool,
    ):
        self._split = split
        self._features = features
        self._files = files
        self._number = number
        self._writer = writer
        self._repeated = repeated
        self._by_interactions = by_interactions

    def process(
        self,
        element: tuple[int, Mapping[str, Any]],
        counts: Counts,
        items: list[bytes] | None = None,
        cut: int | None = None,
    ) -> Iterator[tuple[str, str] | beam.pvalue.TaggedOutput]:
        """`counts`: as ReadTable gives them; `items`: packs of the catalogue's ids, None: every item is known."""
        shard, groups = element
        users = shards.unpack(groups.get("users", ()))
        if users is not None:
            users, became = merge(
                users, n.USER_ID, "users", self._files["users"], self._repeated, self._by_interactions
            )
            yield from became
        rows = shards.unpack(groups["rows"])
        if rows is None:
            return
        ordered = timelines.order(rows)
        if items is not None:
            known = pc.is_in(ordered.rows[n.ITEM_ID], shards.unpack(items)[n.ITEM_ID]).to_numpy()
            yield from self._not_in_catalogue(ordered.rows.filter(pa.array(~known)))
            ordered = ordered.filter(known)
        first = timelines.duplicates(ordered)
        yield from accepted_or(self._repeated, ordered.rows, first, "interactions", self._files["interactions"])
        ordered = ordered.filter(first < 0)

        in_eval = timelines.eval_mask(ordered, self._split, cut)
        present = ordered.users.take(pa.array(np.unique(ordered.user)))
        summary = {"users": len(present)}
        if users is not None:
            summary["known_users"] = pc.sum(pc.is_in(present, users[n.USER_ID].combine_chunks())).as_py() or 0
        columns_of_users = self._user_columns(ordered.users, users, counts)
        for split, mask in zip(SPLITS, (~in_eval, in_eval), strict=True):
            part = ordered.filter(mask)
            summary[split] = len(part.user)
            if not len(part.user):
                continue
            lists, length = self._features.of_interactions(), self._features.histories.length
            columns, user = timelines.examples(part, lists, length)
            columns |= {name: column.take(pa.array(user)) for name, column in columns_of_users.items()}
            yield self._writer.write(split, shards.file_name(shard, self._number), to_examples(columns))
        summary["profile"] = profile(ordered)
        yield beam.pvalue.TaggedOutput("summary", summary | _figures(ordered, ~in_eval, self._features))

    def _user_columns(self, ids: pa.Array, table: pa.Table | None, counts: Counts) -> dict[str, pa.Array]:
        columns = {n.USER_ID: ids}
        if table is not None:
            places = pc.index_in(ids, table[n.USER_ID].combine_chunks())
            features = feature_columns(table, self._features.users, vector_lengths(counts, "users"))
            columns |= {name: values.take(places) for name, values in features.items()}
        return columns

    def _not_in_catalogue(self, rows: pa.Table) -> Iterator[beam.pvalue.TaggedOutput]:
        cause = "item is not in the catalogue"
        for row in rows.to_pylist():
            reason = f"item {row[n.ITEM_ID]!r} is not in the catalogue"
            yield unused("interactions", REJECTED, self._files["interactions"], row, cause, reason)


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
