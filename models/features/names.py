"""Names of the features that every data set has, and of what Transform adds to them."""

USER_ID, ITEM_ID, RATING, TIMESTAMP = "user_id", "item_id", "rating", "timestamp"
HISTORY_ITEM_ID, HISTORY_TIMESTAMP = "history_item_id", "history_timestamp"
TITLE = "title"  # Of an item, where its table has one: shown to people, and a text feature.

PREFERENCE = "preference"  # 1 where the rating reaches the threshold.
ITEM_KEY = "item_key"  # item_id as it stands in the data: unique where items out of vocabulary share an index.
ROW_KEY = "row_key"  # Tells which raw row a transformed one comes from.
HISTORY_GAP = "history_gap"  # log(1 + |seconds|) between the query and each history entry.

# What no feature of a configuration may be called; the last are names of slices.
RESERVED = frozenset(
    {USER_ID, ITEM_ID, RATING, TIMESTAMP, HISTORY_ITEM_ID, HISTORY_TIMESTAMP, TITLE}
    | {PREFERENCE, ITEM_KEY, ROW_KEY, HISTORY_GAP}
    | {"user", "item", "history"}
)
UNKNOWN_GAP = -1.0  # The gap of an entry whose time is not known.
PADDING = -1  # Fills short lists of indices. Never an index.
