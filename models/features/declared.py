"""Every feature, declared once. Schema, Transform, towers, ranker and servable are derived from here."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a raw feature is, which decides what Transform makes of it."""

    ID = "id"  # bytes -> vocabulary index.
    WORDS = "words"  # bytes -> vocabulary indices of the lower-cased words, padded.
    TAGS = "tags"  # list of bytes -> vocabulary indices, padded.
    CATEGORY = "category"  # bytes, may be missing -> vocabulary index.
    NUMBER = "number"  # float, may be missing -> z-score, 0 where missing.
    TIMESTAMP = "timestamp"  # int64 Unix seconds -> quantile bucket, and z-score.
    RATING = "rating"  # float -> itself, and the preference (1 where it reaches the threshold).
    HISTORY_IDS = "history_ids"  # list of bytes -> indices in item_id's vocabulary.
    HISTORY_TIMES = "history_times"  # list of int64 Unix seconds -> log of the distance to the row's timestamp.


class Side(enum.Enum):
    QUERY = "query"
    CANDIDATE = "candidate"
    LABEL = "label"


@dataclass(frozen=True)
class Feature:
    name: str
    kind: Kind
    side: Side
    optional: bool = False  # True: only some data sets have it.


USER_ID = Feature("user_id", Kind.ID, Side.QUERY)
TIMESTAMP = Feature("timestamp", Kind.TIMESTAMP, Side.QUERY)
HISTORY_ITEM_ID = Feature("history_item_id", Kind.HISTORY_IDS, Side.QUERY)
HISTORY_TIMESTAMP = Feature("history_timestamp", Kind.HISTORY_TIMES, Side.QUERY)
ITEM_ID = Feature("item_id", Kind.ID, Side.CANDIDATE)
TITLE = Feature("title", Kind.WORDS, Side.CANDIDATE)
TAGS = Feature("tags", Kind.TAGS, Side.CANDIDATE)
RATING = Feature("rating", Kind.RATING, Side.LABEL)

FEATURES = (
    USER_ID,
    TIMESTAMP,
    HISTORY_ITEM_ID,
    HISTORY_TIMESTAMP,
    Feature("age", Kind.NUMBER, Side.QUERY, optional=True),
    Feature("gender", Kind.CATEGORY, Side.QUERY, optional=True),
    Feature("occupation", Kind.CATEGORY, Side.QUERY, optional=True),
    Feature("zip_code", Kind.CATEGORY, Side.QUERY, optional=True),
    ITEM_ID,
    TITLE,
    TAGS,
    RATING,
)

# What a table's columns may be mapped to.
INTERACTION_FIELDS = (USER_ID.name, ITEM_ID.name, RATING.name, TIMESTAMP.name)
ITEM_FIELDS = tuple(feature.name for feature in FEATURES if feature.side is Side.CANDIDATE)
USER_FIELDS = (USER_ID.name, *(feature.name for feature in FEATURES if feature.optional))

# Evaluation is also cut by these: by value, numbers by decade.
SLICED = [TAGS, *(feature for feature in FEATURES if feature.optional and feature.name != "zip_code")]

# Names that Transform adds beside a feature's own.
PREFERENCE = "preference"
ITEM_KEY = "item_key"  # item_id as it stands in the data: unique where items out of vocabulary share an index.
ROW_KEY = "row_key"  # Tells which raw row a transformed one comes from.
HISTORY_GAP = "history_gap"  # log(1 + |seconds|) between the query and each history entry.
UNKNOWN_GAP = -1.0  # The gap of an entry whose time is not known.

MAX_WORDS = 16  # Words kept of a title.


def available(user_fields: Collection[str]) -> list[Feature]:
    """The features of a data set that has these optional user fields."""
    return [feature for feature in FEATURES if not feature.optional or feature.name in user_fields]


def features_on_side(
    features: Collection[Feature], *sides: Side, kinds: Collection[Kind] = tuple(Kind)
) -> list[Feature]:
    """Those of `features` on one of `sides` and of one of `kinds`."""
    return [feature for feature in features if feature.side in sides and feature.kind in kinds]
