"""What a client asks, as signatures' inputs, and what the answers say. Steps, as in `protocols`."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from serving.errors import ServingError
from serving.protocols import Grpc, Inputs, Rest, Signatures, Steps, Types

Time = int | float | datetime.datetime  # Unix seconds, or a datetime.
Entry = str | tuple[str, Time]  # An item's id, and when the user had it; without it: just now.
Value = str | float

_BATCH = 256
_HISTORY_WIDTH = 100  # Of every request: TensorFlow Serving joins requests into a batch only if they are equally wide.
_QUERY = ("user_id", "timestamp", "history_item_id", "history_timestamp")  # Inputs of `recommend` of every model.
_EXCLUDED, FILTERED = "exclude_item_id", "recommend_filtered"


class Recommendation(NamedTuple):
    """One entry of a recommended list."""

    item_id: str
    title: str
    score: float


class Questions:
    """Asks over a protocol."""

    def __init__(self, protocol: Rest | Grpc):
        self.protocol = protocol

    def recommend(
        self,
        user_ids: Sequence[str],
        histories: Sequence[Sequence[Entry]] | None,
        context: Mapping[str, Sequence[Value]],
        timestamp: Time | None,
        wanted: Mapping[str, Sequence[str]],
        exclude: Sequence[str],
        k: int | None,
    ) -> Steps:
        """Steps to a list for each user. `wanted` and `exclude` hold for all of them."""
        lists: list[list[Recommendation]] = []
        for start in range(0, len(user_ids), _BATCH):
            part = slice(start, start + _BATCH)
            users = list(user_ids[part])
            if histories is None and not context and timestamp is None and not wanted and not exclude:
                outputs = yield from self.protocol.call("serving_default", {"user_id": users})
            else:
                signatures = yield from self.protocol.signatures()
                given = [[]] * len(users) if histories is None else histories[part]
                of_part = {name: values[part] for name, values in context.items()}
                inputs = query_inputs(users, given, timestamp) | context_inputs(signatures, of_part, len(users))
                signature = "recommend"
                if wanted or exclude:
                    signature = FILTERED
                    inputs |= filter_inputs(signatures, wanted, exclude, len(users))
                outputs = yield from self.protocol.call(signature, inputs)
            lists += _lists(outputs, k)
        return lists

    def similar(self, item_id: str, k: int | None) -> Steps:
        """Steps to the items like one."""
        outputs = yield from self.protocol.call("similar", {"item_id": [item_id]})
        return _lists(outputs, k)[0]


def context_types(signatures: Signatures) -> Types:
    """The types of a model's context features."""
    return _without(signatures.inputs.get("recommend", {}), _QUERY)


def filter_types(signatures: Signatures) -> Types:
    """The types of the features by which a model filters."""
    others = (*_QUERY, *context_types(signatures), _EXCLUDED)
    return _without(signatures.inputs.get(FILTERED, {}), others)


def query_inputs(users: Sequence[str], histories: Sequence[Sequence[Entry]], timestamp: Time | None) -> Inputs:
    """Inputs of `recommend` that every model has, a row for each user; timestamp 0 is now, by the server's clock."""
    moment = 0 if timestamp is None else _seconds(timestamp)
    now = moment or int(time.time())
    timed = [[(one, now) if isinstance(one, str) else (one[0], _seconds(one[1])) for one in of] for of in histories]
    width = max(_HISTORY_WIDTH, *map(len, timed))
    padded = [[*entries, *[("", 0)] * (width - len(entries))] for entries in timed]
    return {
        "user_id": list(users),
        "timestamp": [moment] * len(users),
        "history_item_id": [[item for item, _ in entries] for entries in padded],
        "history_timestamp": [[seconds for _, seconds in entries] for entries in padded],
    }


def context_inputs(signatures: Signatures, given: Mapping[str, Sequence[Value]], rows: int) -> Inputs:
    """Inputs of `recommend` that are this model's own, unknown where not given.

    Raises ServingError where the model has no such feature, or a value is no number.
    """
    types = context_types(signatures)
    _check_names(given, types, "context feature")
    inputs: Inputs = {}
    for name, kind in types.items():
        if kind == "DT_STRING":
            inputs[name] = list(given.get(name, [""] * rows))
            continue
        try:
            inputs[name] = [float(value) for value in given.get(name, [math.nan] * rows)]
        except ValueError as error:
            raise ServingError(f"the context feature {name!r} is a number: {error}") from error
    return inputs


def filter_inputs(
    signatures: Signatures, wanted: Mapping[str, Sequence[str]], exclude: Sequence[str], rows: int
) -> Inputs:
    """Inputs of `recommend_filtered` beside a query. Raises ServingError where the model does not filter so."""
    if FILTERED not in signatures.inputs:
        raise ServingError(f"the served model has no signature {FILTERED}, so nothing can be filtered or excluded")
    types = filter_types(signatures)
    _check_names(wanted, types, "filter")
    values = {name: list(wanted.get(name, [])) or [""] for name in types} | {_EXCLUDED: list(exclude) or [""]}
    return {name: [of] * rows for name, of in values.items()}


def _check_names(given: Collection[str], own: Collection[str], what: str) -> None:
    if wrong := [name for name in given if name not in own]:
        known = ", ".join(own) or "none"
        raise ServingError(f"the served model has no {what} {wrong[0]!r}; it has {known}")


def _without(types: Types, others: Collection[str]) -> Types:
    return {name: types[name] for name in sorted(types) if name not in others}


def _seconds(moment: Time) -> int:
    if not isinstance(moment, datetime.datetime):
        return int(moment)
    if moment.tzinfo is None:
        raise ServingError(f"{moment.isoformat()}: a datetime needs its time zone, as datetime.timezone.utc")
    return int(moment.timestamp())


def _lists(outputs: Inputs, k: int | None) -> list[list[Recommendation]]:
    """A list of each row, without what fills up those that ran short."""
    rows = list(zip(outputs["item_id"], outputs["title"], outputs["score"], strict=True))
    served = len(rows[0][0])
    if k is not None and k > served:
        raise ServingError(
            f"the served model gives {served} recommendations at most, not {k}: ask for fewer, or, if the catalogue "
            "has more items, set index.recommendations and run the pipeline again"
        )
    return [[Recommendation(*entry) for entry in zip(*row, strict=True) if entry[0]][:k] for row in rows]
