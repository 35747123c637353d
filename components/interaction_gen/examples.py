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
from components.tables.reading import Item
from components.tables.records import REJECTED, Rejected, shuffled_examples

SPLITS = (TRAIN_SPLIT, EVAL_SPLIT)


class Event(NamedTuple):
    """An interaction, and where it stands: its file's number, and its line."""

    user_id: str
    timestamp: int
    file: int
    line: int
    item_id: str
    rating: float


class _Row(NamedTuple):
    """What an example is made of."""

    user_id: str
    fields: dict[str, Any]
    interaction: histories.Interaction
    history: list[histories.Interaction]


class ToExamples(beam.DoFn):
    """Joins a shard's interactions with its items and users, and writes the examples of both splits.

    Yields what the writer has to commit, and to outputs of these names the REJECTED rows and each shard's `summary`.
    """

    def __init__(self, split: Split, files: Sequence[str], delimiter: str, number: int, writer: shards.Writer):
        """As InteractionGen has them; `number` is that of all shards."""
        self._split = split
        self._files = files
        self._delimiter = delimiter
        self._number = number
        self._writer = writer

    def process(
        self, element: tuple[int, dict[str, Any]], cut: int | None = None
    ) -> Iterator[tuple[str, str] | beam.pvalue.TaggedOutput]:
        shard, groups = element
        items = {item.item_id: item for item in itertools.starmap(Item, shards.unpacked(groups["items"]))}
        fields = dict(sorted(shards.unpacked(groups.get("users", ())), key=repr))
        by_user = collections.defaultdict(list)
        for event in itertools.starmap(Event, shards.unpacked(groups["rows"])):
            by_user[event.user_id].append(event)
        rows = {split: [] for split in SPLITS}
        users = 0
        for user_id in sorted(by_user):
            known = []
            for event in by_user.pop(user_id):
                item = items.get(event.item_id, Item(event.item_id, "", []))
                row = histories.Interaction(
                    event.timestamp,
                    self._files[event.file],
                    event.line,
                    event.item_id,
                    event.rating,
                    item.title,
                    item.tags,
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
                rows[SPLITS[in_eval]].append(_Row(user_id, fields.get(user_id, {}), row, history))
            users += bool(accepted)
        for split in filter(rows.get, SPLITS):
            examples = shuffled_examples(rows[split], shard, _values)
            yield self._writer.write(split, shards.file_name(shard, self._number), examples)
        counts = {split: len(rows[split]) for split in SPLITS}
        summary = {"users": users, "interactions": sum(counts.values())} | counts
        yield beam.pvalue.TaggedOutput("summary", summary)

    def _rejected(self, user_id: str, row: histories.Interaction, reason: str) -> beam.pvalue.TaggedOutput:
        text = self._delimiter.join(map(str, (user_id, row.item_id, row.rating, row.timestamp)))
        return beam.pvalue.TaggedOutput(REJECTED, Rejected(row.file, row.line, reason, text))


def _values(row: _Row) -> dict[str, Any]:
    interaction = row.interaction
    return row.fields | {
        "user_id": row.user_id,
        "item_id": interaction.item_id,
        "title": interaction.title,
        "tags": interaction.tags,
        "rating": interaction.rating,
        "timestamp": interaction.timestamp,
        "history_item_id": [other.item_id for other in row.history],
        "history_timestamp": [other.timestamp for other in row.history],
    }
