"""Buying again: the share of the history's weight, and its mixture with the towers, against numpy."""

import numpy as np
import pytest
import tensorflow as tf

from models.layers import NEVER
from models.repeats import Repeats

HISTORY = tf.constant([[7, 3, 7, -1], [-1, -1, -1, -1]], tf.int64)
SECONDS = np.array([[1e3, 1e5, 1e7, 0.0], [0.0] * 4])
GAPS = tf.constant(np.log1p(SECONDS), tf.float32)
ITEMS = tf.constant([[7, 3, 5], [7, 3, 5]], tf.int64)
DAYS = np.array([1 / 24, 1, 7, 30, 90, 365])
SHARED = np.array([0.3, -0.2, 0.1, 0.4, 0.0, -0.3, 0.2])
OF_ITEMS = np.random.default_rng(0).normal(size=(51, 7)).astype(np.float32)


@pytest.fixture
def layer():
    """With weights that are not neutral."""
    made = Repeats(4, items=50)
    again, by_length, normaliser = (
        np.array([0.1, -0.3, 0.2, 0.4]),
        np.array([-0.5, 0.25]),
        np.array([0.2, 0.1, 0, -0.1]),
    )
    named = {"repeat_mix": SHARED, "repeated_item": OF_ITEMS, "again": again, "again_by_length": by_length}
    named |= {"normaliser": normaliser, "normaliser_bias": 3.0}
    for weight in made.weights:
        weight.assign(named[weight.name.removesuffix("/embeddings:0").removesuffix(":0")])
    return made


def weight(item, seconds):
    """What an entry counts; None: its time is unknown."""
    kernels = np.append(np.zeros(6) if seconds is None else np.exp(-seconds / (86_400 * DAYS)), 1)
    return np.log1p(np.exp(kernels @ (SHARED + OF_ITEMS[item])))


def test_an_items_share_is_its_part_of_the_historys_weight(layer):
    weights = [weight(item, seconds) for item, seconds in zip([7, 3, 7], SECONDS[0], strict=False)]
    expected = np.log([(weights[0] + weights[2]) / sum(weights), weights[1] / sum(weights)])
    own = layer.own(HISTORY, GAPS, ITEMS).numpy()
    np.testing.assert_allclose(own[0, :2], expected, rtol=1e-5)
    assert (own[0, 2], own[1].tolist()) == (NEVER, [NEVER] * 3)


def test_an_entry_whose_time_is_unknown_counts_by_the_constant_alone(layer):
    own = layer.own(tf.constant([[7, 3]], tf.int64), tf.constant([[-1.0, -1.0]]), ITEMS[:1]).numpy()
    weights = np.array([weight(7, None), weight(3, None)])
    np.testing.assert_allclose(own[0, :2], np.log(weights / weights.sum()), rtol=1e-5)


def test_an_item_alone_has_the_share_that_it_has_among_others(layer):
    alone = [layer.own(HISTORY, GAPS, ITEMS[:, place : place + 1]) for place in range(3)]
    np.testing.assert_allclose(tf.concat(alone, axis=1), layer.own(HISTORY, GAPS, ITEMS), rtol=1e-5)


def test_what_is_mixed_are_probabilities(layer):
    vectors = tf.constant([[1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, 1.0]])
    towers = tf.constant(np.log([[0.2, 0.3, 0.1], [0.2, 0.3, 0.1]]), tf.float32)
    own = layer.own(HISTORY, GAPS, ITEMS)
    mixed = np.exp(layer.mixed(vectors, HISTORY, own, towers).numpy())
    again = 1 / (1 + np.exp(-(vectors.numpy()[0] @ [0.1, -0.3, 0.2, 0.4] - 0.5 + 0.25 * np.log1p(3))))
    np.testing.assert_allclose(mixed[0], again * np.exp(own.numpy()[0]) + (1 - again) * np.exp(towers[0]), rtol=1e-5)
    np.testing.assert_allclose(mixed[1], np.exp(towers[1]), rtol=1e-5, err_msg="without a history nothing repeats")


def test_the_normaliser_begins_with_the_size_of_the_catalogue(layer):
    vectors = tf.constant([[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(Repeats(4, items=50).normaliser(vectors), [[np.log(50)]], rtol=1e-6)
    np.testing.assert_allclose(layer.normaliser(vectors), [[0.2 + 0.2 - 0.4 + 3.0]], rtol=1e-6)


def test_a_query_alone_is_as_in_a_batch(layer):
    vectors, towers = tf.random.normal([2, 4]), tf.random.normal([2, 3])
    both = layer.mixed(vectors, HISTORY, layer.own(HISTORY, GAPS, ITEMS), towers).numpy()
    for row in range(2):
        one = slice(row, row + 1)
        own = layer.own(HISTORY[one], GAPS[one], ITEMS[one])
        np.testing.assert_allclose(
            both[one], layer.mixed(vectors[one], HISTORY[one], own, towers[one]), rtol=1e-5, atol=1e-6
        )
