"""Both indexes against a full sort."""

import numpy as np
import pytest
import tensorflow as tf

from components.recommender_builder.index import build_index, measured_speed
from pipeline.config import Index

RNG = np.random.default_rng(0)


def saved_and_loaded(index, directory):
    index.find = tf.function(
        index.search, input_signature=[tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([], tf.int32)]
    )
    tf.saved_model.save(index, str(directory), options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"]))
    return tf.saved_model.load(str(directory))


@pytest.mark.parametrize("kind", ["exact", "scann"])
def test_small_catalogues_are_searched_exactly_also_after_save_and_load(kind, tmp_path):
    vectors = RNG.normal(size=(500, 8)).astype(np.float32)
    queries = RNG.normal(size=(7, 8)).astype(np.float32)
    index = build_index(Index(kind=kind), vectors)
    expected = np.argsort(-queries @ vectors.T, axis=1)[:, :30]
    np.testing.assert_array_equal(index.search(tf.constant(queries), tf.constant(30)), expected)
    loaded = saved_and_loaded(index, tmp_path)
    np.testing.assert_array_equal(loaded.find(queries, 30), expected)
    np.testing.assert_array_equal(loaded.find(queries[:1], 30), expected[:1])


def test_two_indexes_in_one_process_do_not_answer_for_each_other(tmp_path):
    queries = RNG.normal(size=(3, 8)).astype(np.float32)
    all_vectors = [RNG.normal(size=(200, 8)).astype(np.float32) for _ in range(2)]
    loaded = [
        saved_and_loaded(build_index(Index(), vectors), tmp_path / str(i)) for i, vectors in enumerate(all_vectors)
    ]
    for model, vectors in zip(loaded, all_vectors, strict=True):
        np.testing.assert_array_equal(model.find(queries, 5), np.argsort(-queries @ vectors.T, axis=1)[:, :5])


def test_a_hashed_index_finds_nearly_all():
    vectors = RNG.normal(size=(25_000, 16)).astype(np.float32)
    index = build_index(Index(), vectors)
    assert index.kind == "scann_hashed"
    queries = RNG.normal(size=(50, 16)).astype(np.float32)
    exact = np.argsort(-queries @ vectors.T, axis=1)[:, :100]
    found = index.search(tf.constant(queries), tf.constant(100)).numpy()
    assert np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(exact, found, strict=True)]) > 0.95


def test_speed_is_that_of_both_searches():
    vectors = RNG.normal(size=(50, 4)).astype(np.float32)
    speed = measured_speed(build_index(Index(), vectors), vectors, RNG.normal(size=(9, 4)).astype(np.float32), 100)
    assert speed["speed_up"] == speed["exact_milliseconds"] / speed["milliseconds"] > 0
