"""Fixtures that several tests share."""

import pipeline  # noqa: F401  Chooses Keras 2 before TensorFlow is imported.
