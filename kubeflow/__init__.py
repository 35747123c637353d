"""The pipeline on Kubeflow Pipelines v2."""

import pipeline  # noqa: F401  Chooses Keras 2 before TensorFlow is imported.
