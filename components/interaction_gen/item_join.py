"""Brings each shard the items that its events name, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import apache_beam as beam

from components.interaction_gen.examples import Event
from components.tables import shards

_REMEMBERED = 200_000  # Pairs that a worker keeps, so as not to ask again.


class ItemsByShard(beam.PTransform):
    """Packed items by shard, of events `(shard, event)` and items by id.

    Items and requests for them are grouped by item id, in as many parts as there are shards. A popular item is asked
    for by every shard once, and not once an interaction. Nobody holds the catalogue as a whole.
    """

    def __init__(self, number: int):
        super().__init__()
        self._number = number

    def expand(self, collections: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        rows, items = collections
        asked = rows | "Ask" >> beam.ParDo(_Ask(self._number)) | "PackAsked" >> beam.ParDo(shards.Pack(self._number))
        offered = items | "PackOffered" >> shards.PackByKey(self._number)
        return (
            {"asked": asked, "offered": offered}
            | "Meet" >> beam.CoGroupByKey()
            | "Answer" >> beam.FlatMapTuple(_answer)
            | "PackAnswers" >> beam.ParDo(shards.Pack(self._number))
        )


class _Ask(beam.DoFn):
    """The (item, shard) pairs that events need, keyed by the item's part; few of them twice."""

    def __init__(self, number: int):
        self._number = number

    def start_bundle(self) -> None:
        self._asked: set[tuple[str, int]] = set()

    def process(self, element: tuple[int, Event]) -> Iterator[tuple[int, tuple[str, int]]]:
        shard, event = element
        item_id = event.item_id
        if (item_id, shard) not in self._asked:
            if len(self._asked) == _REMEMBERED:
                self._asked.clear()
            self._asked.add((item_id, shard))
            yield shards.shard_of(item_id, self._number), (item_id, shard)


def _answer(_part: int, groups: dict[str, Iterable[bytes]]) -> Iterator[tuple[int, tuple]]:
    items = dict(shards.unpacked(groups["offered"]))
    for item_id, shard in set(shards.unpacked(groups["asked"])):
        if item_id in items:
            yield shard, (item_id, items[item_id])
