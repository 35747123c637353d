"""An optimizer whose step costs as much as its batch, however large the embedding tables are."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

import tensorflow as tf

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7


class RowwiseAdamW(tf.keras.optimizers.Optimizer):
    """AdamW (Loshchilov and Hutter, ICLR 2019) that touches only those rows of embedding tables that have a gradient.

    A row keeps one second moment, the mean over its dimensions (as row-wise Adagrad does; Naumov et al., "Deep Learning
    Recommendation Model", 2019), and no first one. It takes the weight decay of the steps without a gradient together
    with that of its next one; what is due at the end it takes in `finalize_variable_values`, which Keras calls after
    the last step. All other variables are updated as by Keras's AdamW. That passes over whole tables in every step: two
    of 96 dimensions cost it 1.6 times as much with 10,000 rows each, 8 times with 100,000, 59 times with a million.

    Args:
      learning_rate: of each step.
      weight_decay: a step multiplies weights by 1 - weight_decay * learning rate, which has to be above zero.
      undecayed: patterns of the names of variables that keep their weights.
    """

    def __init__(
        self,
        learning_rate: tf.keras.optimizers.schedules.LearningRateSchedule,
        weight_decay: float,
        undecayed: Collection[str] = (),
    ):
        super().__init__(name="rowwise_adamw")
        self.weight_decay = None  # Keras's own would pass over every row.
        self._learning_rate = self._build_learning_rate(learning_rate)
        self._decay = weight_decay
        self._undecayed = undecayed
        self._slots: list[dict[str, tf.Variable]] = []

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        super().build(var_list)
        if not self._slots:
            self._slots = [self._new_slots(variable) for variable in var_list]

    def _new_slots(self, variable: tf.Variable) -> dict[str, tf.Variable]:
        shape, each_row = variable.shape, variable.shape[:1]
        shapes = {"first": shape, "second": shape}
        if variable.name.endswith("embeddings:0"):  # As Keras calls the weight of an Embedding.
            # Log of the decay accumulated over all steps, and of the part already applied to each row.
            shapes = {"second": each_row, "due": [], "taken": each_row}
        return {name: self.add_variable_from_reference(variable, name, shape) for name, shape in shapes.items()}

    def update_step(self, gradient: tf.Tensor | tf.IndexedSlices, variable: tf.Variable) -> None:
        """One step of one variable; Keras has summed what a sparse gradient has for the same row."""
        slots = self._slots_of(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        kept = 1.0 - self.learning_rate * self._decay_of(variable)
        rate = self.learning_rate * tf.sqrt(1.0 - _BETA_2**step)
        if "due" in slots:
            _update_rows(variable, gradient, rate, kept, **slots)
        else:
            _update_all(variable, gradient, rate / (1.0 - _BETA_1**step), kept, **slots)

    def finalize_variable_values(self, var_list: Sequence[tf.Variable]) -> None:
        for variable in var_list:
            slots = self._slots_of(variable)
            if "due" in slots:
                variable.assign(variable * tf.exp(slots["due"] - slots["taken"])[:, tf.newaxis])
                slots["taken"].assign(tf.fill(variable.shape[:1], slots["due"]))

    def _slots_of(self, variable: tf.Variable) -> dict[str, tf.Variable]:
        return self._slots[self._index_dict[self._var_key(variable)]]

    def _decay_of(self, variable: tf.Variable) -> float:
        return 0.0 if any(re.search(name, variable.name) for name in self._undecayed) else self._decay


def _update_all(
    variable: tf.Variable,
    gradient: tf.Tensor,
    rate: tf.Tensor,
    kept: tf.Tensor,
    first: tf.Variable,
    second: tf.Variable,
) -> None:
    first.assign_add((gradient - first) * (1.0 - _BETA_1))
    second.assign_add((tf.square(gradient) - second) * (1.0 - _BETA_2))
    variable.assign(variable * kept - rate * first / (tf.sqrt(second) + _EPSILON))


def _update_rows(
    variable: tf.Variable,
    gradient: tf.IndexedSlices,
    rate: tf.Tensor,
    kept: tf.Tensor,
    second: tf.Variable,
    due: tf.Variable,
    taken: tf.Variable,
) -> None:
    rows, values = gradient.indices, gradient.values
    due.assign_add(tf.math.log(kept))
    squares = tf.reduce_mean(tf.square(values), axis=1)
    seconds = _BETA_2 * tf.gather(second, rows) + (1.0 - _BETA_2) * squares
    left = tf.exp(due - tf.gather(taken, rows))
    steps = rate / (tf.sqrt(seconds) + _EPSILON)
    weights = tf.gather(variable, rows) * left[:, tf.newaxis] - values * steps[:, tf.newaxis]
    for slot, new in ((variable, weights), (second, seconds), (taken, tf.fill(tf.shape(rows), due))):
        slot.scatter_update(tf.IndexedSlices(new, rows))
