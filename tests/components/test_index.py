"""Both indexes against a full sort."""

import numpy as np
import pytest
import tensorflow as tf

import components.recommender_builder.index as index_module
from components.recommender_builder.index import Settings, build_index, describe
from components.recommender_builder.settings import Index

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
    index = build_index(Index(kind=kind), vectors, queries)
    expected = np.argsort(-queries @ vectors.T, axis=1)[:, :30]
    np.testing.assert_array_equal(index.search(tf.constant(queries), tf.constant(30)), expected)
    loaded = saved_and_loaded(index, tmp_path)
    np.testing.assert_array_equal(loaded.find(queries, 30), expected)
    np.testing.assert_array_equal(loaded.find(queries[:1], 30), expected[:1])


def test_two_indexes_in_one_process_do_not_answer_for_each_other(tmp_path):
    queries = RNG.normal(size=(3, 8)).astype(np.float32)
    all_vectors = [RNG.normal(size=(200, 8)).astype(np.float32) for _ in range(2)]
    loaded = [
        saved_and_loaded(build_index(Index(), vectors, queries), tmp_path / str(i))
        for i, vectors in enumerate(all_vectors)
    ]
    for model, vectors in zip(loaded, all_vectors, strict=True):
        np.testing.assert_array_equal(model.find(queries, 5), np.argsort(-queries @ vectors.T, axis=1)[:, :5])


def test_an_index_of_the_same_vectors_is_the_same():
    """ScaNN leaves what a kind of index is without as it found the memory, sometimes not a number."""
    vectors, queries = (RNG.normal(size=(rows, 8)).astype(np.float32) for rows in (200, 3))
    one, other = (build_index(Index(), vectors, queries) for _ in range(2))
    assert one._shared_name == other._shared_name, "a graph says this name, so it belongs to what is the same"
    assert len(one.variables) == 9
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert a.shape.rank or not a.numpy()


@pytest.fixture(scope="module")
def clustered():
    """25 000 vectors around 50 centres, and queries like them: to tune on, and to measure on."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(50, 16))
    return [
        (centres[rng.integers(50, size=rows)] + 0.5 * rng.normal(size=(rows, 16))).astype(np.float32)
        for rows in (25_000, 100, 100)
    ]


def recall(index, vectors, queries):
    exact = np.argsort(-queries @ vectors.T, axis=1)[:, :100]
    found = index.search(tf.constant(queries), tf.constant(100)).numpy()
    return np.mean([len(np.intersect1d(a, b)) / 100 for a, b in zip(exact, found, strict=True)])


@pytest.mark.parametrize("tree_from", [100_000, 20_000])
def test_an_index_is_tuned_to_the_recall_that_is_wanted(clustered, tree_from, monkeypatch):
    monkeypatch.setattr(index_module, "_TREE_FROM", tree_from)
    vectors, queries, others = clustered
    modest, thorough = (build_index(Index(recall=wanted), vectors, queries) for wanted in (0.8, 0.99))
    assert modest.kind == ("scann_tree" if tree_from == 20_000 else "scann_hashed")
    assert recall(modest, vectors, others) > 0.75
    assert recall(thorough, vectors, others) > 0.97
    assert describe(thorough, vectors, queries, 100)["tuning_recall"] >= 0.99, "another index answered"
    assert modest.settings != thorough.settings
    assert size(modest) < size(thorough) / 2, "for a recall of 0.99 these vectors have to be floats"


def size(index):
    return sum(part.shape.num_elements() * part.dtype.size for part in index.variables)


def test_floats_are_kept_only_where_they_find_more(clustered, monkeypatch):
    vectors, queries, others = clustered
    in_floats = build_index(Index(recall=0.99), vectors, queries)
    monkeypatch.setattr(index_module, "_REORDERED", (1.2,))  # Too few for this recall, whatever they are ordered by.
    kept = build_index(Index(recall=0.99), vectors, queries)
    in_bytes = build_index(Index(recall=0.1), vectors, queries)
    assert size(kept) == size(in_bytes) < size(in_floats) / 2
    assert recall(kept, vectors, others) == recall(in_bytes, vectors, others) < 0.7
    monkeypatch.setattr(index_module, "_FLOATS_WORTH", 0.0)
    assert size(build_index(Index(recall=0.99), vectors, queries)) == size(in_floats)


def test_a_tree_finds_as_many_as_are_asked_for(clustered, monkeypatch):
    monkeypatch.setattr(index_module, "_TREE_FROM", 20_000)
    vectors, queries, _ = clustered
    index = build_index(Index(recall=0.5), vectors, queries)
    index.settings = Settings(2, 1.0)  # Of 158 leaves, with about 158 vectors each.
    found = index.search(tf.constant(queries), tf.constant(12_000)).numpy()
    for row in found:
        real = row[row < len(vectors)]
        assert len(np.unique(real)) == len(real) > 11_000
    index.leaves, index.settings = 1, Settings(1, 1.0)  # As where leaves are of very different sizes.
    for row in index.search(tf.constant(queries), tf.constant(5000)).numpy():
        real = row < len(vectors)
        assert len(np.unique(row[real])) == real.sum() < 5000
        assert (row[~real] == len(vectors)).all()


def test_the_settings_stay_with_a_saved_index(clustered, tmp_path):
    vectors, queries, others = clustered
    index = build_index(Index(recall=0.9), vectors, queries)
    expected = index.search(tf.constant(others), tf.constant(100))
    loaded = saved_and_loaded(index, tmp_path)
    np.testing.assert_array_equal(loaded.find(others, 100), expected)


def test_a_description_tells_kind_settings_and_speed(clustered):
    vectors, queries, _ = clustered
    found = describe(build_index(Index(), vectors[:50], queries), vectors[:50], queries, 100)
    assert found["kind"] == "scann_brute_force" and found["tuning_recall"] == 1.0
    assert found["speed_up"] == found["exact_milliseconds"] / found["milliseconds"] > 0
    hashed = describe(build_index(Index(), vectors, queries), vectors, queries, 100)
    assert hashed["leaves"] is None and hashed["reordered_per_neighbour"] >= 1.2
