"""Names of the features that every data set has, and of what Transform and the query batches add to them."""

USER_ID, ITEM_ID, TIMESTAMP, RATING, EVENT = "user_id", "item_id", "timestamp", "rating", "event"
HISTORY_ITEM_ID, HISTORY_TIMESTAMP = "history_item_id", "history_timestamp"
EXCLUDE_ITEM_ID = "exclude_item_id"  # What a request does not want to be recommended.
TITLE = "title"  # Of an item, where its table has one: shown to people, and a text feature.
OVERLAP = "overlap"  # How many of an example's first entries are the last of its user's example before, as history.

MOMENT = "moment"  # The time bucket of a timestamp.
WEIGHT = "weight"  # Of an interaction in training, by its kind of event.
POSITIVE = "positive"  # 1 where the rating reaches the limit, or the event is of a kind that is wanted.
ITEM_KEY = "item_key"  # item_id as it stands in the data: unique where items out of vocabulary share an index.
HISTORY_GAP = "history_gap"  # log(1 + |seconds|) between the query and each history entry.

# What no feature of a configuration may be called; the last are names of slices and of the servable's inputs.
RESERVED = frozenset(
    {USER_ID, ITEM_ID, TIMESTAMP, RATING, EVENT, HISTORY_ITEM_ID, HISTORY_TIMESTAMP, TITLE, OVERLAP}
    | {MOMENT, WEIGHT, POSITIVE, ITEM_KEY, HISTORY_GAP}
    | {"user", "item", "history", EXCLUDE_ITEM_ID}
)
UNKNOWN_GAP = -1.0  # The gap of an entry whose time is not known.
PADDING = -1  # Fills short lists of indices. Never an index.
