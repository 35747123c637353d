"""What is asked of a running server, and what its answers have to be."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any, NamedTuple

import numpy as np

from components.infra_validator.asked import Asked, Recommendable
from components.infra_validator.settings import InfraValidation
from models.features import names as f
from serving.client import Recommender

_UNKNOWN_USER = "no such user"
_TIMED_REQUESTS = 20
_FILTERED = "recommend_filtered"


class CheckReport(NamedTuple):
    """What a protocol's answers were like."""

    problems: list[str]
    milliseconds: float  # Median of a request for one user.


class Checks:
    """Questions over one protocol.

    Args:
      client: of the server.
      config: the configuration's section.
      asked: whom to ask about.
      recommendable: what may be recommended.
    """

    def __init__(self, client: Recommender, config: InfraValidation, asked: Asked, recommendable: Recommendable):
        self._client, self._config, self._repeats = client, config, asked.repeats
        self._recommendable = recommendable
        inputs = {name: tensor.numpy().tolist() for name, tensor in asked.inputs.items()}
        self._known = {name: _decoded(values) for name, values in inputs.items()}
        self._had = asked.had
        self._problems: list[str] = []

    def run(self) -> CheckReport:
        """Asks for known, unknown and users without an id, one at a time and many at once."""
        known, count = self._known, len(self._known[f.USER_ID])
        one = _rows(known, 1)
        no_history = {f.HISTORY_ITEM_ID: [[]], f.HISTORY_TIMESTAMP: [[]]}
        for who, query, is_known in (
            ("known users", known, True),
            ("one known user", one, True),
            (f"a batch of {self._config.batch}", _rows(known, self._config.batch), True),
            ("unknown users", known | {f.USER_ID: [_UNKNOWN_USER] * count}, False),
            ("users without an id", known | {f.USER_ID: [""] * count}, False),
            ("a user without id and history", one | no_history | {f.USER_ID: [""]}, False),
        ):
            users, histories = query[f.USER_ID], [frozenset(history) for history in query[f.HISTORY_ITEM_ID]]
            had = [self._had[n % len(self._had)] if is_known else frozenset() for n in range(len(users))]
            excluded = [a | b for a, b in zip(histories, had, strict=True)]
            self._check(f"recommend for {who}", "recommend", query, excluded)
            self._check(f"retrieve for {who}", "retrieve", query, excluded)
            self._check(f"serving_default for {who}", "serving_default", {f.USER_ID: users}, had)
        self._check_filters()
        return CheckReport(self._problems, self._latency())

    def _check_filters(self) -> None:
        """Asks for what is not in the first lists, and for what has a value of each feature that filters."""
        if self._problems:  # What is asked here follows from the first lists.
            return
        known, rows = self._known, len(self._known[f.USER_ID])
        histories = [frozenset(history) for history in known[f.HISTORY_ITEM_ID]]
        had = [frozenset() if self._repeats else a | b for a, b in zip(histories, self._had, strict=True)]
        first = self._client.call("recommend", known)["item_id"]
        asked = self._recommendable.inputs(rows, first, {})
        without = [seen | {*of} for seen, of in zip(had, first, strict=True)]
        self._check("recommend_filtered without the first list", _FILTERED, known | asked, without, always=True)
        for feature, value, items in self._recommendable.filters:
            asked = self._recommendable.inputs(rows, [], {feature: value})
            title = f"recommend_filtered for {feature} {value!r}"
            self._check(title, _FILTERED, known | asked, had, always=True, among=items)

    def _check(
        self,
        title: str,
        signature: str,
        query: dict[str, list],
        excluded: list[frozenset[str]],
        *,
        always: bool = False,
        among: frozenset[str] | None = None,
    ) -> None:
        """Looks at a list for each query.

        Args:
          title: for messages.
          signature, query: what is asked.
          excluded: by query, what may not be recommended; where items repeat, only if `always`.
          always: see `excluded`.
          among: what may be recommended; by default everything that ever may.
        """
        answer = self._client.call(signature, query)
        rows = len(query[f.USER_ID])
        if {len(values) for values in answer.values()} != {rows}:
            self._problems.append(f"{title}: the answers do not have one row for each of {rows} queries")
            return
        for ids, scores, seen in zip(answer["item_id"], answer["score"], excluded, strict=True):
            left_out = frozenset() if self._repeats and not always else seen
            problem = self._problem(ids, scores, left_out, self._recommendable.items if among is None else among)
            if problem:
                self._problems.append(f"{title}: {problem}")
                return

    def _problem(
        self, ids: list[str], scores: list[float], excluded: frozenset[str], among: frozenset[str]
    ) -> str | None:
        """What is wrong with one list."""
        items = [item for item in ids if item]
        if not items and not among <= excluded:
            return "an empty list"
        if ids != items + [""] * (len(ids) - len(items)) or len(set(items)) < len(items):
            return "a list with a gap, or with an item twice"
        if len(scores) != len(ids) or not all(map(math.isfinite, scores)):
            return "a score is missing or not finite"
        if any(a < b for a, b in itertools.pairwise(scores)):
            return "scores that are not in falling order"
        if others := set(items) - among:
            return f"item {min(others)!r} is none of those that may be recommended"
        if seen := set(items) & excluded:
            return f"item {min(seen)!r} was seen or is not wanted, and is recommended"
        return None

    def _latency(self) -> float:
        query = _rows(self._known, 1)
        seconds = []
        for _ in range(_TIMED_REQUESTS):
            started = time.perf_counter()
            self._client.call("recommend", query)
            seconds.append(time.perf_counter() - started)
        milliseconds = float(np.median(seconds)) * 1000
        if milliseconds > self._config.max_milliseconds:
            self._problems.append(
                f"a request for one user takes {milliseconds:.0f} ms, more than the {self._config.max_milliseconds:g} "
                "of infra_validator.max_milliseconds"
            )
        return milliseconds


def _rows(query: dict[str, list], count: int) -> dict[str, list]:
    """The first rows, over and over where there are fewer."""
    return {name: [values[number % len(values)] for number in range(count)] for name, values in query.items()}


def _decoded(values: Any) -> Any:
    if isinstance(values, list):
        return [_decoded(value) for value in values]
    return values.decode() if isinstance(values, bytes) else values
