"""Layers and losses against a few lines of numpy."""

import numpy as np
import pytest
import tensorflow as tf

from models import layers, losses
from models.features.kinds import Number
from models.settings import Retrieval
from tests.models.conftest import FEATURES


def test_weighted_sums_are_those_of_a_dense_product_and_so_are_their_gradients():
    rng = np.random.default_rng(0)
    table = layers.Table(6, 3, "t")
    indices = np.array([[1, 4, 4, -1], [5, 1, 0, 2], [-1, -1, -1, -1]])
    weights = (rng.random([3, 2, 4]) * (indices >= 0)[:, np.newaxis]).astype(np.float32)
    weights[1, 0, 2] = 0
    wanted = rng.normal(size=(3, 2, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        sums = layers.weighted_sums(table, tf.constant(indices), tf.constant(weights))
        value = tf.reduce_sum(sums * wanted)
    np.testing.assert_allclose(sums, weights @ table.embeddings.numpy()[indices], atol=1e-6)
    expected = np.zeros([6, 3])
    np.add.at(expected, indices, np.swapaxes(weights, 1, 2) @ wanted)
    gradient = tf.convert_to_tensor(tape.gradient(value, table.embeddings))
    np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 2])
def test_sums_of_empty_lists_are_zeros(rows):
    sums = layers.weighted_sums(layers.Table(6, 3, "t"), tf.zeros([rows, 0], tf.int64), tf.zeros([rows, 2, 0]))
    np.testing.assert_array_equal(sums, np.zeros([rows, 2, 3]))


def test_the_mean_of_a_list_leaves_the_padding_out():
    layer = layers.ListEmbedding(4, 3, "t")
    result = layer(tf.constant([[1, 2, -1], [-1, -1, -1], [3, -1, -1]])).numpy()
    rows = layer.weights[0].numpy()
    np.testing.assert_allclose(result, [(rows[1] + rows[2]) / 2, [0, 0, 0], rows[3]], rtol=1e-6)


def test_a_vector_is_projected_and_a_missing_one_says_nothing():
    layer = layers.VectorEmbedding(3, 2, "t")
    vectors = np.array([[1.0, 2.0, 3.0], [0, 0, 0]], np.float32)
    np.testing.assert_allclose(layer(tf.constant(vectors)), vectors @ layer.weights[0].numpy(), rtol=1e-6)


def test_a_feature_is_embedded_as_its_kind_says(data):
    sample = {**data.catalogue.features, **data.train.users}
    made = layers.of_features(FEATURES.items | FEATURES.users | FEATURES.context, data.transform, sample, 4)
    embedded = {name: layer(tf.constant(sample[name])).shape for name, layer in made.items() if name in sample}
    assert embedded == dict.fromkeys(FEATURES.items, (5, 4)) | dict.fromkeys(FEATURES.users, (3, 4))
    assert made["image"].weights[0].shape == (2, 4)
    assert made["device"].embeddings.shape == (2 + 1, 4)
    assert isinstance(made["volume"], layers.NumberEmbedding) and isinstance(FEATURES.items["price"], Number)


def test_moment_embedding_merges_neighbouring_buckets():
    layer = layers.MomentEmbedding(7, 2, [1, 3])
    got, later = np.split(layer(tf.constant([0, 2, 3, 6, 7])).numpy(), [4])
    fine, coarse = (table.embeddings.numpy() for table in layer._tables)
    assert (len(fine), len(coarse)) == (7, 3)
    np.testing.assert_allclose(got, fine[[0, 2, 3, 6]] + coarse[[0, 0, 1, 2]], rtol=1e-6)
    np.testing.assert_array_equal(later, [[0, 0]])


def test_history_embedding_is_the_mix_of_decayed_sums():
    layer = layers.HistoryEmbedding(5, 2, [60.0, 3600.0], dropout=0.5)
    items, seconds = np.array([[1, 4, 2], [3, -1, -1]]), np.array([[0.0, 100.0, 7200.0], [50.0, 0.0, 0.0]])
    gaps = np.log1p(seconds).astype(np.float32)
    gaps[0, 2] = -1  # Unknown.
    got = layer(tf.constant(items), tf.constant(gaps)).numpy()
    table, mix = layer._items.embeddings.numpy(), layer._mix.numpy()
    for row in range(2):
        known = items[row] >= 0
        timed = known & (gaps[row] >= 0)
        weights = [np.exp(-seconds[row] / tau) * timed for tau in (60.0, 3600.0)] + [known.astype(float)]
        sums = [w @ table[np.maximum(items[row], 0)] / np.sqrt(1 + w.sum()) for w in weights]
        np.testing.assert_allclose(got[row], (np.array(sums) * mix).sum(0), rtol=1e-4)


def test_an_export_reads_what_histories_have_in_half_the_width_and_all_else_as_it_is():
    history = layers.HistoryEmbedding(6, 4, [60.0])
    items, gaps = tf.constant([[1, 4, 4], [5, -1, -1]], tf.int64), tf.constant([[1.0, 2.0, 3.0], [0.5, 0, 0]])
    (table,) = [part for part in history.submodules if isinstance(part, layers.Table)]
    mix = next(variable for variable in history.variables if variable is not table.embeddings)
    whole, half = table.embeddings.numpy(), table.embeddings.numpy().astype(np.float16)
    with layers.exporting(history) as read:
        exported = history(items, gaps).numpy()
        np.testing.assert_array_equal(table(tf.constant([3, 5])), half[[3, 5]].astype(np.float32))
        (copy,) = [variable for variable in read if variable is not mix]
        np.testing.assert_array_equal(copy, half)
        assert copy.dtype == tf.float16 and len(read) == 2
    np.testing.assert_array_equal(table(tf.constant([3, 5])), whole[[3, 5]])
    np.testing.assert_allclose(exported, history(items, gaps), atol=1e-4)
    assert np.abs(exported - history(items, gaps)).max() > 0


def test_history_embedding_does_not_see_the_width_of_the_padding():
    layer = layers.HistoryEmbedding(5, 2, [60.0], dropout=0.5)
    short = layer(tf.constant([[1, 2]]), tf.constant([[0.5, 3.0]]))
    long = layer(tf.constant([[1, 2, -1, -1]]), tf.constant([[0.5, 3.0, -1.0, -1.0]]))
    np.testing.assert_allclose(short, long, rtol=1e-6)


def test_target_attention_weighs_by_similarity_and_recency():
    layer = layers.TargetAttention(5, 2, [60.0], dropout=0.5)
    items, seconds = np.array([[1, 4, 2], [-1, -1, -1]]), np.array([[0.0, 100.0, 30.0], [0.0, 0.0, 0.0]])
    gaps = np.log1p(seconds).astype(np.float32)
    gaps[0, 2] = -1  # Unknown.
    candidates = np.random.default_rng(0).normal(size=(2, 3, 2)).astype(np.float32)
    got = layer(tf.constant(items), tf.constant(gaps), tf.constant(candidates)).numpy()
    entries = layer._items.embeddings.numpy()[items[0]]
    logits = candidates[0] @ entries.T + np.array([1.0, np.exp(-100 / 60), 0.0])
    weights = np.exp(logits) / (1 + np.exp(logits).sum(1, keepdims=True))
    np.testing.assert_allclose(got[0], weights @ entries, rtol=1e-4)
    assert not got[1].any(), "an empty history says nothing"


def test_hide_hides_all_or_nothing_at_the_extremes():
    indices = tf.constant([0, 1, 2], tf.int64)
    assert layers.hide(indices, 9, 0.0).numpy().tolist() == [0, 1, 2]
    assert layers.hide(indices, 9, 1.0).numpy().tolist() == [9, 9, 9]


@pytest.mark.parametrize("hard", [None, 2, 99])
def test_negatives_beyond_the_batch_are_left_out_by_their_ids(hard):
    rng = np.random.default_rng(0)
    queries, candidates = (rng.normal(size=(rows, 4)).astype(np.float32) for rows in (3, 7))
    ids, probability = np.array([5, 6, 5, 7, 6, 8, 9]), rng.uniform(0.1, 1, 7).astype(np.float32)
    config = Retrieval(temperature=0.5, hard_negatives=hard)
    added = rng.normal(size=(2, 7)).astype(np.float32)
    of_batch = map(tf.constant, (queries, candidates, added, ids, probability))
    got = losses.sampled_softmax(*of_batch, config).numpy()
    logits = queries @ candidates.T / 0.5 - np.log(probability)
    logits[:2] += added
    for row in range(3):
        hardest = np.sort(logits[row, ids != ids[row]])[::-1][:hard]
        expected = np.log(np.exp([logits[row, row], *hardest]).sum()) - logits[row, row]
        assert got[row] == pytest.approx(expected, rel=1e-4)


def test_products_of_half_the_width_give_nearly_the_same_losses_and_gradients():
    rng = np.random.default_rng(0)
    queries, candidates = (tf.constant(rng.normal(size=(rows, 32)) / 2, tf.float32) for rows in (64, 256))
    probability = tf.constant(rng.uniform(0.001, 0.1, 256), tf.float32)

    def of(precision):
        with tf.GradientTape() as tape:
            tape.watch([queries, candidates])
            found = losses.sampled_softmax(
                queries, candidates, tf.zeros([0, 256]), tf.range(256), probability, Retrieval(precision=precision)
            )
        return [found, *tape.gradient(found, [queries, candidates])]

    for exact, got in zip(of("float32"), of("bfloat16"), strict=True):
        assert got.dtype == tf.float32 and (got.numpy() != exact.numpy()).any()
        assert tf.norm(got - exact) < 0.02 * tf.norm(exact)


def test_the_gradient_of_sampled_softmax_is_its_probabilities():
    queries, candidates = (tf.constant(np.random.default_rng(0).normal(size=(rows, 4)), tf.float32) for rows in (2, 3))
    nothing, ids = tf.zeros([0, 3]), tf.range(3)
    with tf.GradientTape() as tape:
        tape.watch(queries)
        loss = tf.reduce_sum(losses.sampled_softmax(queries, candidates, nothing, ids, None, Retrieval()))
    odds = np.exp(queries.numpy() @ candidates.numpy().T)
    expected = (odds / odds.sum(1, keepdims=True) - np.eye(3)[:2]) @ candidates.numpy()
    np.testing.assert_allclose(tape.gradient(loss, queries), expected, atol=1e-6)
