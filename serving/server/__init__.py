"""A model server that speaks TensorFlow Serving's REST and gRPC protocol."""

import sys
from typing import Any


def _import_tensorflow_without_keras() -> None:
    """Imports TensorFlow in three quarters of the time.

    TensorFlow imports Keras at its end, and goes on without it if it is missing. Serving a SavedModel does not need it;
    `tf.keras` is still imported when somebody uses it.
    """
    modules: dict[str, Any] = sys.modules  # None makes an import of the module fail.
    hidden = [name for name in ("tf_keras.src.optimizers", "keras.src.optimizers") if name not in modules]
    modules.update(dict.fromkeys(hidden))
    try:
        import tensorflow  # noqa: F401
    finally:
        for name in hidden:
            del modules[name]


_import_tensorflow_without_keras()
