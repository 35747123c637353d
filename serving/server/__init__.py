"""A model server that speaks TensorFlow Serving's REST and gRPC protocol."""

import sys


def _import_tensorflow_without_keras() -> None:
    """TensorFlow ends its own import with Keras, a quarter of the time, and goes on where it cannot be imported.

    Serving a SavedModel needs none of it. Whoever uses `tf.keras` later gets it as ever.
    """
    absent = [name for name in ("tf_keras.src.optimizers", "keras.src.optimizers") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))
    try:
        import tensorflow  # noqa: F401
    finally:
        for name in absent:
            del sys.modules[name]


_import_tensorflow_without_keras()
