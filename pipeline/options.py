"""What several commands, and the configuration, agree on. Importing it costs nothing."""

PACKAGE = "recommender-pipeline"  # As it is installed.
STARTS = ["cold", "warm"]  # Of a backtest's nights.
SPLITS = ["per_user_chronological", "random", "global_temporal"]
