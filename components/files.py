"""Names of splits, and of files inside artifacts. Importing them costs nothing."""

import os

TRAIN_SPLIT, EVAL_SPLIT, ITEMS_SPLIT = "train", "eval", "items"
SPLITS = (TRAIN_SPLIT, EVAL_SPLIT)  # Of interactions.

SUMMARY_FILE, PROFILE_FILE = "summary.json", "profile.json"  # InteractionGen's.
STATISTICS_FILE = "FeatureStats.pb"  # TFX's StatisticsGen's.
DRIFT_FILE = "drift.json"  # The DriftValidator's.
EVALUATION_FILE = "evaluation.json"  # The Evaluator's.
INFRA_VALIDATION_FILE = "infra_validation.json"  # The InfraValidator's.
# In a servable: its `origin`, and its `index` as `recommender_builder.index.describe`.
BUILD_FILE = os.path.join("assets.extra", "build.json")
REFIT_FILE = "refit.json"  # The Refitter's.
REPORT_FILE = "report.json"  # The Reporter's.
# In a refitted servable: the one that has not seen the eval rows, to which later ones are compared.
BEFORE_REFIT = os.path.join("assets.extra", "before_refit")
