"""What is computed: configuration, features, models and the DAG."""

import os

# tensorflow-recommenders needs Keras 2, and TensorFlow reads this when it is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
