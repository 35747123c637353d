"""What is learnt: features, query batches, layers, losses, the two models. Imports nothing else of this project."""

import os

# tensorflow-recommenders needs Keras 2, and TensorFlow reads this when it is first imported.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
