"""What is run, with what, and what came out: configuration, DAG, commands, local runner, report."""

import models  # noqa: F401  Chooses Keras 2 before TensorFlow is imported.
