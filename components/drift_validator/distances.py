"""How far two deliveries are from each other, figure by figure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow_data_validation as tfdv
from scipy.special import rel_entr
from tensorflow_metadata.proto.v0 import schema_pb2

from components.drift_validator.kept import Delivery
from components.statistics import Feature, Statistics, by_name, histogram, is_text, missing_share
from components.tables.causes import MERGED
from components.tables.ids import share_not_in
from components.tables.records import ROWS
from models.features import names as f

# Every delivery has later times; ids are compared by their shapes, and titles are hardly ever the same.
_NOT_COMPARED = frozenset({f.USER_ID, f.TIMESTAMP, f.OVERLAP, f.TITLE})
_DAY = 86_400
_RANGES = 10
_SURELY_ABOVE = 1e-12  # TFDV says no distance that is below its limit.


class Distance(NamedTuple):
    """One figure of both deliveries.

    Attributes:
      kind: as limits name it.
      name: of what is compared.
      value: 1 or 0 where nothing has changed, as the kind is a ratio or a difference.
      was, now: the figure, where it is one.
      distribution: else shares by value, was and now.
    """

    kind: str
    name: str
    value: float
    was: float | None = None
    now: float | None = None
    distribution: dict[str, tuple[float, float]] | None = None

    def __str__(self) -> str:
        text = _WORDS[self.kind].format(name=self.name, value=self.value)
        return text if self.was is None else f"{text}: {self.now:,.4g}, and {self.was:,.4g} with the live model"


_WORDS = {
    "fewer": "{value:.2f} times fewer {name}",
    "more": "{value:.2f} times more {name}",
    "busiest": "{value:.2f} times as many rows of the busiest {name}",
    "new": "{value:.0%} of the {name} are new",
    "gone": "{value:.0%} of the {name} are gone",
    "repeated": "{value:.1%} more of the {name} repeat another",
    "shapes": "ids of {name} are written otherwise: distance {value:.2f}",
    "hours": "{name} are at other hours of the day: distance {value:.3f}",
    "missing": "{name} is missing in {value:.0%} more of the rows",
    "texts": "{name} has other values: the share of one differs by {value:.1%}",
    "numbers": "{name} has other values: distance {value:.3f}",
}


def distances(now: Delivery, was: Delivery) -> list[Distance]:
    """All that is compared: counts, ids and hours, and for each feature what is missing and how values are spread."""
    return [*_of_counts(now, was), *_of_profiles(now.profile, was.profile), *_of_features(now, was)]


def skew(profile: Mapping[str, Any], context: Statistics | None, was: Delivery) -> list[Distance]:
    """As `distances`, of requests: their users, the items of their histories, their hours, and the context.

    Args:
      profile: `users`, `items` and `hours`, as InteractionGen's.
      context: statistics of the context's features; None where requests bring none.
      was: what the model was trained on.
    """
    found = []
    for name in ("users", "items"):
        if profile[name]["sketch"]:
            found += [_new(profile, was.profile, name), _shapes(profile, was.profile, name)]
    if any(profile["hours"]):
        found.append(_hours(profile, was.profile, "requests"))
    return [*found, *(_of_statistics(context, was.interactions, _NOT_COMPARED) if context else ())]


def _of_counts(now: Delivery, was: Delivery) -> Iterator[Distance]:
    figures = {name: [one.summary[name] for one in (now, was)] for name in ("interactions", "users", "items")}
    figures["interactions a day"] = [one.summary["interactions"] / _days(one.profile) for one in (now, was)]
    for name, (new, old) in figures.items():
        yield Distance("fewer", name, _ratio(old, new), old, new)
        yield Distance("more", name, _ratio(new, old), old, new)
    new, old = (_repeated(one.summary["tables"]["interactions"]) for one in (now, was))
    yield Distance("repeated", "rows", max(0.0, new - old), old, new)


def _of_profiles(now: Mapping[str, Any], was: Mapping[str, Any]) -> Iterator[Distance]:
    new, old = (float(one["busiest_user"]) for one in (now, was))
    yield Distance("busiest", "user", _ratio(new, old), old, new)
    for name in ("users", "items"):
        yield _new(now, was, name)
        yield Distance("gone", name, share_not_in(was[name]["sketch"], now[name]["sketch"]))
        yield _shapes(now, was, name)
    yield _hours(now, was, "interactions")


def _new(now: Mapping[str, Any], was: Mapping[str, Any], name: str) -> Distance:
    return Distance("new", name, share_not_in(now[name]["sketch"], was[name]["sketch"]))


def _shapes(now: Mapping[str, Any], was: Mapping[str, Any], name: str) -> Distance:
    shares = _shares(now[name]["shapes"], was[name]["shapes"])
    largest = max((abs(a - b) for a, b in shares.values()), default=0.0)
    return Distance("shapes", name, largest, distribution=shares)


def _hours(now: Mapping[str, Any], was: Mapping[str, Any], name: str) -> Distance:
    shares = _shares(*({f"{hour:02d}": rows for hour, rows in enumerate(one["hours"])} for one in (now, was)))
    return Distance("hours", name, _jensen_shannon(*zip(*shares.values(), strict=True)), distribution=shares)


def _of_features(now: Delivery, was: Delivery) -> Iterator[Distance]:
    yield from _of_statistics(now.interactions, was.interactions, _NOT_COMPARED)
    yield from _of_statistics(now.items, was.items, _NOT_COMPARED | {f.ITEM_ID})


def _of_statistics(now: Statistics, was: Statistics, left_out: frozenset[str]) -> Iterator[Distance]:
    new, old = (by_name(statistics) for statistics in (now, was))
    spread = _spread(now, was)
    for name in sorted((new.keys() & old.keys()) - left_out):
        features = new[name], old[name]
        missing = [missing_share(feature) for feature in features]
        yield Distance("missing", name, max(0.0, missing[0] - missing[1]), missing[1], missing[0])
        kind = "texts" if is_text(new[name]) else "numbers"
        distribution = _shares(*_values(*features)) if new[name].type == old[name].type else None
        yield Distance(kind, name, spread.get(name, 0.0), distribution=distribution)


def _spread(now: Statistics, was: Statistics) -> dict[str, float]:
    """By feature, TFDV's distance: of texts the largest difference of a share, of numbers Jensen and Shannon's."""
    schema = schema_pb2.Schema()
    for name, feature in by_name(now).items():
        entry = schema.feature.add(name=name)
        if is_text(feature):
            entry.type = schema_pb2.BYTES
            entry.drift_comparator.infinity_norm.threshold = _SURELY_ABOVE
        else:
            entry.type = schema_pb2.FLOAT if feature.type == feature.FLOAT else schema_pb2.INT
            entry.drift_comparator.jensen_shannon_divergence.threshold = _SURELY_ABOVE
    found = tfdv.validate_statistics(now, schema, previous_statistics=was)
    return {
        info.path.step[0]: max(measured.value for measured in info.drift_measurements)
        for info in found.drift_skew_info
        if info.drift_measurements
    }


def _values(*features: Feature) -> list[dict[str, float]]:
    """Of each, frequent texts, or numbers in the same ten ranges, with how many there are."""
    if is_text(features[0]):
        return [{one.value: one.frequency for one in feature.string_stats.top_values} for feature in features]
    buckets = [list(zip(*histogram(feature), strict=True)) for feature in features]
    edges = np.linspace(min(low[0] for low, _, _ in buckets), max(high[-1] for _, high, _ in buckets), _RANGES + 1)
    names = [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    of_each = []
    for low, high, counts in buckets:
        below = np.interp(edges, [low[0], *high], np.cumsum([0.0, *counts]))
        of_each.append(dict(zip(names, np.diff(below).tolist(), strict=True)))
    return of_each


def _shares(now: Mapping[str, float], was: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    totals = [sum(counts.values()) or 1 for counts in (now, was)]
    names = [*now, *(name for name in was if name not in now)]
    return {name: (now.get(name, 0) / totals[0], was.get(name, 0) / totals[1]) for name in names}


def _ratio(more: float, less: float) -> float:
    return more / max(less, 1e-9) if more > less else 1.0


def _repeated(rows: Mapping[str, int]) -> float:
    return rows[MERGED] / max(1, rows[ROWS])


def _days(profile: Mapping[str, Any]) -> float:
    return max(1.0, (profile["last"] - profile["first"]) / _DAY)


def _jensen_shannon(now: tuple[float, ...], was: tuple[float, ...]) -> float:
    """Of two distributions, in bits: between 0 and 1 (Lin, 1991)."""
    p, q = np.array(now), np.array(was)
    return float((rel_entr(p, (p + q) / 2) + rel_entr(q, (p + q) / 2)).sum() / (2 * np.log(2)))
