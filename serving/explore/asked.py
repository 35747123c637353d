"""What the page asks for, as its address says it, and the signatures' inputs that follow from it."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from multidict import MultiMapping

from serving.client import HISTORY_WIDTH
from serving.errors import ServingError
from serving.explore.data import Entry, VersionData
from serving.explore.model_server import Served

_OF_EVERY_MODEL = ("user_id", "timestamp", "history_item_id", "history_timestamp")  # Inputs of `recommend`.
_EXCLUDED = "exclude_item_id"
_CONTEXT, _FILTER = "context.", "filter."  # Prefixes of names in the address.
RECOMMEND, FILTERED = "recommend", "recommend_filtered"


class Asked(NamedTuple):
    """A user or a visitor, and what a request brings.

    Attributes:
      user_id: "" for a visitor.
      added: ids of items added to the history, the most recent first.
      dropped: ids of items that are taken out of what is known of the user.
      timestamp: of the request, in Unix seconds; 0: now.
      context: values by feature.
      wanted: for each feature that filters, the values of which an item needs one.
      excluded: ids of items that are not to be recommended.
    """

    user_id: str = ""
    added: Sequence[str] = ()
    dropped: Collection[str] = ()
    timestamp: int = 0
    context: dict[str, str] = {}
    wanted: dict[str, list[str]] = {}
    excluded: Sequence[str] = ()

    @property
    def filtered(self) -> bool:
        """Whether the list is to hold only some of the items."""
        return bool(self.wanted or self.excluded)

    def history(self, data: VersionData | None) -> list[Entry] | None:
        """What the request tells of the past, the most recent first.

        None: the model knows this user, and the page does not, so the request leaves the history to the model.
        """
        known = data.history(self.user_id) if data and self.user_id else [] if not self.user_id else None
        if known is None and not self.added:
            return None
        now = self.timestamp or int(time.time())
        kept = [entry for entry in known or [] if entry.item_id not in self.dropped]
        return [*(Entry(item, now, added=True) for item in self.added), *kept]


def parse(address: MultiMapping[str]) -> Asked:
    """What the query part of an address asks for. Raises ServingError where the time is none."""
    text = address.get("at") or "0"
    if not text.isdecimal():
        raise ServingError(f"at={text}: expected a time in Unix seconds")
    named = {name: [value for value in address.getall(name) if value] for name in address}
    return Asked(
        user_id=address.get("user", ""),
        added=named.get("add", []),
        dropped=named.get("drop", []),
        timestamp=int(text),
        context={name.removeprefix(_CONTEXT): of[0] for name, of in named.items() if name.startswith(_CONTEXT) and of},
        wanted={name.removeprefix(_FILTER): of for name, of in named.items() if name.startswith(_FILTER) and of},
        excluded=named.get("exclude", []),
    )


def context_inputs(served: Served) -> dict[str, str]:
    """The types of a model's context features by name."""
    return {name: kind for name, kind in served.inputs[RECOMMEND].items() if name not in _OF_EVERY_MODEL}


def filter_inputs(served: Served) -> list[str]:
    """The features by which a model filters."""
    others = {*_OF_EVERY_MODEL, _EXCLUDED, *context_inputs(served)}
    return [name for name in served.inputs.get(FILTERED, {}) if name not in others]


def query(asked: Asked, served: Served, histories: Sequence[Sequence[Entry]]) -> dict[str, list]:
    """Inputs of `recommend`: a row for each history.

    Raises ServingError where the model has no such context, or its value is no number.
    """
    context = context_inputs(served)
    if unknown := sorted({*asked.context} - {*context}):
        raise ServingError(f"version {served.version} has no context feature {unknown[0]!r}")
    width = max(HISTORY_WIDTH, *map(len, histories))
    padded = [[*history, *[Entry("", 0)] * (width - len(history))] for history in histories]
    rows = len(histories)
    return {
        "user_id": [asked.user_id] * rows,
        "timestamp": [asked.timestamp] * rows,
        "history_item_id": [[entry.item_id for entry in history] for history in padded],
        "history_timestamp": [[entry.timestamp for entry in history] for history in padded],
        **{name: [_typed(name, kind, asked.context.get(name))] * rows for name, kind in context.items()},
    }


def _typed(name: str, kind: str, text: str | None) -> str | float:
    if kind == "DT_STRING":
        return text or ""
    try:
        return float(text) if text else math.nan
    except ValueError:
        raise ServingError(f"{name} is a number, not {text!r}") from None


def filters(asked: Asked, served: Served) -> dict[str, list]:
    """What `recommend_filtered` takes beside a query. Raises ServingError where the model does not filter so."""
    names = filter_inputs(served)
    if FILTERED not in served.inputs:
        raise ServingError(f"version {served.version} has no filters")
    if unknown := sorted({*asked.wanted} - {*names}):
        raise ServingError(f"version {served.version} has no filter {unknown[0]!r}")
    return {_EXCLUDED: [list(asked.excluded) or [""]], **{name: [asked.wanted.get(name, [""])] for name in names}}
