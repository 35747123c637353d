"""Names of what is measured, as TFMA knows them: outputs of the predictions, and slices."""

# Ranks of the true item in lists of a model: [n, 1], NaN where the query is left out.
RETRIEVAL = "retrieval"
BEFORE, AFTER = "two_stage_before", "two_stage_after"  # Of positive items, before and after ranking.
PER_USER = "per_user"  # [n, R] ranks of all the user's eval items in the list of the user's first eval query.
MOVED = "two_stage_moved"  # [n] what ranking adds to a positive item's nDCG@10, NaN as above.
RATING, PREFERENCE = "rating", "preference"  # [n] predictions.
RECOMMENDED = "recommended"  # [n, K] rows of the catalogue, below 0 for none.
AVERAGE_POPULARITY, SEEN_SHARE = "average_popularity", "seen_share"  # [n] figures of the recommended list.

LISTS = (RETRIEVAL, PER_USER, BEFORE, AFTER)

# Ranks under the baselines, as `baselines.Ranks` calls them: the first with what was seen, the others without.
UNFILTERED, POPULARITY, RECENT_POPULARITY, OWN_HISTORY = "unfiltered", "popularity", "recent_popularity", "own_history"
BASELINES = (UNFILTERED, POPULARITY, RECENT_POPULARITY, OWN_HISTORY)

LIVE = "live_"  # Starts the names of the live model's outputs.

SLICES = "slices"  # Key of the extracts: by row, the slices it is in, as `feature=value`.
