"""The users of a shard to its examples."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam

from components.files import EVAL_SPLIT, TRAIN_SPLIT
from components.interaction_gen import histories
from components.interaction_gen.settings import Split
from components.tables import shards
from components.tables.records import REJECTED, Rejected, shuffled_examples
from models.features import names as n
from models.features.feature_set import FeatureSet

SPLITS = (TRAIN_SPLIT, EVAL_SPLIT)


class Event(NamedTuple):
    """An interaction, and where it stands: its file's number, and its line."""

    user_id: str
    timestamp: int
    file: int
    line: int
    item_id: str
    rating: float | None


class _Row(NamedTuple):
    """What an example is made of."""

    user_id: str
    user_features: dict[str, Any]
    interaction: histories.Interaction
    history: list[histories.Interaction]


class ToExamples(beam.DoFn):
    """Joins a shard's interactions with its items and users, and writes the examples of both splits.

    Yields what the writer has to commit, and to outputs of these names the REJECTED rows and each shard's `summary`.
    """

    def __init__(
        self,
        split: Split,
        features: FeatureSet,
        files: Sequence[str],
        delimiter: str,
        number: int,
        writer: shards.Writer,
    ):
        """As InteractionGen has them; `number` is that of all shards."""
        self._features = features.of_interactions()
        self._split = split
        self._files = files
        self._delimiter = delimiter
        self._number = number
        self._writer = writer

    def process(
        self, element: tuple[int, dict[str, Any]], cut: int | None = None
    ) -> Iterator[tuple[str, str] | beam.pvalue.TaggedOutput]:
        shard, groups = element
        items = dict(shards.unpacked(groups["items"]))
        users_features = dict(shards.unpacked(groups.get("users", ())))
        by_user = collections.defaultdict(list)
        for event in itertools.starmap(Event, shards.unpacked(groups["rows"])):
            by_user[event.user_id].append(event)
        rows = {split: [] for split in SPLITS}
        users = 0
        for user_id in sorted(by_user):
            known = []
            for event in by_user.pop(user_id):
                row = histories.Interaction(
                    event.timestamp,
                    self._files[event.file],
                    event.line,
                    event.item_id,
                    event.rating,
                    items.get(event.item_id, {}),
                )
                if event.item_id in items:
                    known.append(row)
                else:
                    yield self._rejected(user_id, row, f"item {event.item_id!r} is not in the catalogue")
            accepted, duplicates = histories.without_duplicates(known)
            for row, first in duplicates:
                place = "" if first.file == row.file else f" of {first.file}"
                yield self._rejected(user_id, row, f"duplicate of line {first.line}{place}")
            eval_rows = histories.eval_mask(user_id, accepted, self._split, cut)
            for row, in_eval, history in histories.with_history(accepted, eval_rows, self._split):
                rows[SPLITS[in_eval]].append(_Row(user_id, users_features.get(user_id, {}), row, history))
            users += bool(accepted)
        for split in filter(rows.get, SPLITS):
            examples = shuffled_examples(rows[split], shard, _values, self._features)
            yield self._writer.write(split, shards.file_name(shard, self._number), examples)
        counts = {split: len(rows[split]) for split in SPLITS}
        summary = {"users": users, "interactions": sum(counts.values())} | counts
        yield beam.pvalue.TaggedOutput("summary", summary)

    def _rejected(self, user_id: str, row: histories.Interaction, reason: str) -> beam.pvalue.TaggedOutput:
        fields = (user_id, row.item_id, row.rating, row.timestamp)
        text = self._delimiter.join(str(field) for field in fields if field is not None)
        return beam.pvalue.TaggedOutput(REJECTED, Rejected(row.file, row.line, reason, text))


def _values(row: _Row) -> dict[str, Any]:
    interaction = row.interaction
    return {
        **row.user_features,
        **interaction.item_features,
        n.USER_ID: row.user_id,
        n.ITEM_ID: interaction.item_id,
        n.RATING: interaction.rating,
        n.TIMESTAMP: interaction.timestamp,
        n.HISTORY_ITEM_ID: [other.item_id for other in row.history],
        n.HISTORY_TIMESTAMP: [other.timestamp for other in row.history],
    }
