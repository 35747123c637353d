"""The row-wise optimizer, against a few lines of numpy and against Keras."""

import numpy as np
import pytest
import tensorflow as tf

from models.optimizer import RowwiseAdamW

RATES, DECAY = [0.1, 0.05, 0.02], 2.0
START = np.array([[1.0, 2.0], [3.0, -4.0], [5.0, 6.0]], np.float32)
# Rows and gradients of three steps: row 0 twice in one of them, row 1 in the outer ones only, row 2 never.
STEPS = [([1, 0], [[1.0, 2.0], [0.5, 0.5]]), ([0, 0], [[1.0, 0.0], [2.0, -1.0]]), ([1], [[-3.0, 1.0]])]


class Rates(tf.keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return tf.gather(tf.constant(RATES), tf.cast(step, tf.int32))


def trained(optimizer, variable, gradients):
    for gradient in gradients:
        optimizer.apply_gradients([(gradient, variable)])
    return optimizer


def table():
    layer = tf.keras.layers.Embedding(*START.shape, embeddings_initializer=tf.constant_initializer(START))
    layer.build(None)
    return layer.embeddings


def sparse_gradients():
    return [tf.IndexedSlices(tf.constant(values), tf.constant(rows), START.shape) for rows, values in STEPS]


def expected(decay):
    """As if every step decayed every row, and moved those with a gradient."""
    weights, seconds = START.astype(float), np.zeros(len(START))
    for step, (rate, (rows, values)) in enumerate(zip(RATES, STEPS, strict=True), 1):
        weights *= 1 - rate * decay
        summed = np.zeros_like(weights)
        np.add.at(summed, rows, values)
        for row in set(rows):
            seconds[row] = 0.999 * seconds[row] + 0.001 * np.mean(summed[row] ** 2)
            weights[row] -= rate * summed[row] / np.sqrt(seconds[row] / (1 - 0.999**step))
    return weights


def test_rows_end_as_if_every_step_had_decayed_them():
    variable = table()
    optimizer = trained(RowwiseAdamW(Rates(), DECAY), variable, sparse_gradients())
    np.testing.assert_array_equal(variable[2], START[2])
    for _ in range(2):  # The second time nothing is due.
        optimizer.finalize_variable_values([variable])
        np.testing.assert_allclose(variable, expected(DECAY), rtol=1e-4)


def test_what_is_not_to_decay_does_not():
    variable = table()
    optimizer = trained(RowwiseAdamW(Rates(), DECAY, ["other", "embed"]), variable, sparse_gradients())
    optimizer.finalize_variable_values([variable])
    np.testing.assert_allclose(variable, expected(0), rtol=1e-4)


def test_a_row_costs_two_numbers_beside_its_weights():
    optimizer = trained(RowwiseAdamW(Rates(), DECAY), table(), sparse_gradients())
    assert sorted(slot.shape.num_elements() for slot in optimizer.variables if slot.shape.rank) == [3, 3]


@pytest.mark.parametrize("undecayed", [[], ["weights"]])
def test_other_variables_are_updated_as_by_keras(undecayed):
    gradients = [tf.constant([[1.0, -2.0]]), tf.constant([[0.5, 3.0]]), tf.constant([[-1.0, 0.0]])]
    ours, theirs = (tf.Variable([[1.0, 2.0]], name="weights") for _ in range(2))
    keras = tf.keras.optimizers.AdamW(Rates(), weight_decay=DECAY)
    keras.exclude_from_weight_decay(var_names=undecayed)
    trained(RowwiseAdamW(Rates(), DECAY, undecayed), ours, gradients)
    trained(keras, theirs, gradients)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
