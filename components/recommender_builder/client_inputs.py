"""What a client sends, as the data has it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import tensorflow as tf

from models.features import names as f
from models.features.texts import WRITTEN_AS_FLOAT, trim_tensor

Tensors = Mapping[str, tf.Tensor]
Signature = Callable[..., dict[str, tf.Tensor]]


class ClientInputs:
    """Checks and reads the inputs of signatures, in their graphs.

    Texts lose the blanks around them, as when the data was read. An id that is a number as `7.0`, which is how a client
    holds it whose column of ids is one of floats, is taken for `7`, as reading does, unless ids of the data are texts
    of that form.

    Args:
      users, items: all ids that are known.
    """

    def __init__(self, users: Iterable[bytes], items: Iterable[bytes]):
        kinds = ((users, [f.USER_ID]), (items, [f.ITEM_ID, f.HISTORY_ITEM_ID, f.EXCLUDE_ITEM_ID]))
        self._numbers = {name for ids, names in kinds if not _have_fractions(ids) for name in names}

    def before(self, call: Signature) -> Signature:
        """A signature that calls another with what was read.

        It fails, and names two inputs, where these have not as many rows, or the history's two not the same shape.
        """

        def signature(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.control_dependencies(_shape_checks(inputs)):
                read = self.read(inputs)
            return call(**read)

        return signature

    def read(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """The inputs, unchecked, as the data has them."""
        return {name: self._read(name, values) for name, values in inputs.items()}

    def _read(self, name: str, values: tf.Tensor) -> tf.Tensor:
        if values.dtype != tf.string:
            return tf.identity(values)
        return trim_tensor(values, floats_are_whole=name in self._numbers)


def _have_fractions(ids: Iterable[bytes]) -> bool:
    looks_so = re.compile(WRITTEN_AS_FLOAT.encode()).match
    return any(map(looks_so, ids))


def _shape_checks(inputs: Tensors) -> list[tf.Operation]:
    def check(one: str, other: str, what: str, axes: slice) -> tf.Operation:
        shapes = (tf.shape(inputs[name])[axes] for name in (one, other))
        return tf.debugging.assert_equal(*shapes, message=f"{one} and {other} need the same {what}")

    checks = []
    if f.HISTORY_ITEM_ID in inputs:
        checks.append(check(f.HISTORY_ITEM_ID, f.HISTORY_TIMESTAMP, "shape", slice(None)))
    if f.USER_ID in inputs:
        others = [name for name in inputs if name not in (f.USER_ID, f.HISTORY_TIMESTAMP)]
        checks += [check(f.USER_ID, name, "number of rows", slice(1)) for name in others]
    return checks
