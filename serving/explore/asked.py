"""What the page asks for, as its address says it, and the signatures' inputs that follow from it."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import NamedTuple

from multidict import MultiMapping

from serving import questions
from serving.errors import ServingError
from serving.explore.data import Entry, VersionData
from serving.protocols import Inputs, Signatures

_CONTEXT, _FILTER = "context.", "filter."  # Prefixes of names in the address.


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


def query(asked: Asked, signatures: Signatures, histories: Sequence[Sequence[Entry]]) -> Inputs:
    """Inputs of `recommend`: a row for each history."""
    rows = len(histories)
    timed = [[(entry.item_id, entry.timestamp) for entry in history] for history in histories]
    context = {name: [value] * rows for name, value in asked.context.items()}
    inputs = questions.query_inputs([asked.user_id] * rows, timed, asked.timestamp)
    return inputs | questions.context_inputs(signatures, context, rows)
