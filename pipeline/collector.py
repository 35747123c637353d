"""Imports that the garbage collector does not look at."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """For imports: the collector rests, and never looks at what was made, which lives as long as the process.

    Each look would take time, a third of TensorFlow's import, and write to memory that forked processes share.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
