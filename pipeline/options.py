"""What several commands, and the configuration, agree on. Importing it costs nothing."""

PACKAGE = "recommender-pipeline"  # As it is installed.
SPLITS = ["per_user_chronological", "random", "global_temporal"]
