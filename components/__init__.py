"""The TFX components, one folder each, and what several of them share."""

import models  # noqa: F401  Chooses Keras 2 before TensorFlow is imported.
