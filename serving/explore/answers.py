"""What the page shows of a version's answers: lists of both stages, reasons, and similar items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from serving.explore.asked import Asked, query
from serving.explore.data import Entry, VersionData
from serving.explore.model_server import Call, ModelServer, Served
from serving.questions import FILTERED, filter_inputs

_TRIED = 30  # Items of a history whose absence is tried, the most recent.
_REASONS = 3  # Shown of each recommended item.
_LEAST = 0.01  # Of a score: less is no reason.

Shown = dict[str, Any]


class Answers:
    """Asks one version, and joins its answers with what has travelled with it."""

    def __init__(self, server: ModelServer, served: Served, data: VersionData | None):
        self._server, self._served, self._data = server, served, data
        self._calls: list[Call] = []

    async def lists(self, asked: Asked) -> Shown:
        """History, the candidates of the first stage with their places in the second, and what is recommended."""
        history = asked.history(self._data)
        if history is None:
            return self._with_calls({"history": None, "retrieved": None, "recommended": await self._by_model(asked)})
        retrieved, recommended = await self._both_stages(asked, history)
        had = Counter(entry.item_id for entry in history)
        for one in recommended:
            one["had"] = had[one["item_id"]]
        items = self._items(entry.item_id for entry in history)
        shown = [
            item | {"timestamp": entry.timestamp, "added": entry.added}
            for item, entry in zip(items, history, strict=True)
        ]
        return self._with_calls({"history": shown, "retrieved": retrieved, "recommended": recommended})

    async def _by_model(self, asked: Asked) -> list[Shown]:
        """For a user whom the model knows and the page does not."""
        if not (asked.filtered or asked.context or asked.timestamp):
            return self._scored(await self._call("serving_default", {"user_id": [asked.user_id]}))
        return (await self._recommended(asked, []))[1]

    async def _both_stages(self, asked: Asked, history: Sequence[Entry]) -> tuple[list[Shown], list[Shown]]:
        inputs, recommended = await self._recommended(asked, history)
        retrieved = self._scored(await self._call("retrieve", inputs))
        ids = [one["item_id"] for one in retrieved]
        if ids:
            ranked = await self._call("rank", inputs | {"item_id": [ids]})
            order = sorted(range(len(ids)), key=lambda place: -ranked["score"][0][place])
            for final, place in enumerate(order, 1):
                retrieved[place]["final"] = final
            predicted = {name: dict(zip(ids, values[0], strict=True)) for name, values in ranked.items()}
            places = {item_id: place for place, item_id in enumerate(ids, 1)}
            for one in recommended:
                item_id = one["item_id"]
                one["candidate"] = places.get(item_id)
                one["predicted"] = {
                    name: of[item_id] for name, of in predicted.items() if name != "score" and item_id in of
                }
        return retrieved, recommended

    async def _recommended(self, asked: Asked, history: Sequence[Entry]) -> tuple[dict[str, list], list[Shown]]:
        inputs = query(asked, self._served.signatures, [history])
        if asked.filtered:
            wanted = filter_inputs(self._served.signatures, asked.wanted, asked.excluded, 1)
            return inputs, self._scored(await self._call(FILTERED, inputs | wanted))
        return inputs, self._scored(await self._call("recommend", inputs))

    async def reasons(self, asked: Asked, item_ids: Sequence[str]) -> Shown:
        """For each of the items, the items of the history without which its score is lower, and by how much."""
        history = asked.history(self._data) or []
        tried = list(dict.fromkeys(entry.item_id for entry in history))[:_TRIED]
        if not (tried and item_ids):
            return self._with_calls({"reasons": {}})
        without = [[entry for entry in history if entry.item_id != item_id] for item_id in tried]
        inputs = query(asked, self._served.signatures, [history, *without])
        outputs = await self._call("rank", inputs | {"item_id": [list(item_ids)] * (1 + len(without))})
        full, *others = outputs["score"]
        known = {item["item_id"]: item for item in self._items(tried)}
        reasons = {}
        for place, item_id in enumerate(item_ids):
            drops = [(full[place] - scores[place], one) for scores, one in zip(others, tried, strict=True)]
            best = sorted((drop for drop in drops if drop[0] >= _LEAST), reverse=True)[:_REASONS]
            reasons[item_id] = [known[one] | {"difference": difference} for difference, one in best]
        return self._with_calls({"reasons": reasons})

    async def item(self, item_id: str) -> Shown:
        """An item, and those like it."""
        similar = self._scored(await self._call("similar", {"item_id": [item_id]}))
        return self._with_calls({"item": self._items([item_id])[0], "similar": similar})

    async def _call(self, signature: str, inputs: dict[str, list]) -> dict[str, list]:
        outputs, call = await self._server.call(self._served, signature, inputs)
        self._calls.append(call)
        return outputs

    def _scored(self, outputs: dict[str, list]) -> list[Shown]:
        """The list of the only row, without what fills up a short one."""
        ids, scores = outputs["item_id"][0], outputs["score"][0]
        titles = outputs["title"][0] if "title" in outputs else [None] * len(ids)
        rows = [row for row in zip(ids, scores, titles, strict=True) if row[0]]
        items = self._items(item_id for item_id, _, _ in rows)
        return [
            item | {"score": score} | ({"title": title} if title else {})
            for item, (_, score, title) in zip(items, rows, strict=True)
        ]

    def _items(self, item_ids: Iterable[str]) -> list[Shown]:
        return self._data.items(item_ids) if self._data else [{"item_id": item_id} for item_id in item_ids]

    def _with_calls(self, shown: Shown) -> Shown:
        return shown | {
            "version": str(self._served.signatures.version),
            "calls": [call._asdict() for call in self._calls],
        }
