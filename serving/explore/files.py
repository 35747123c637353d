"""Names of the files that travel with a version for the page. Importing them costs nothing."""

import os

DIRECTORY = os.path.join("assets.extra", "explore")
ITEMS_FILE = "items.parquet"  # item_id, title, interactions, and of each feature its values as texts; by row.
FEATURE_PREFIX = "feature."
USERS_FILE = "users.parquet"  # user_id, interactions, and the last of them: history_row, history_timestamp.
SUMMARY_FILE = "summary.json"  # Counts, and the values of each context feature, the most frequent first.
