"""Custom TFX components, one folder each."""

import pipeline  # noqa: F401  Chooses Keras 2 before TensorFlow is imported.
