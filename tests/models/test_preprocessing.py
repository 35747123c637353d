"""Transform's output on rows whose right answer can be written down."""

import numpy as np
import pytest

from models import inputs
from models.catalogue import model_features
from models.features.names import UNKNOWN_GAP


@pytest.fixture(scope="module")
def batch(transformed):
    transform, file = transformed
    (batch,) = inputs.dataset([file], transform, 10)
    ratings = batch["rating"].numpy().tolist()
    order = [ratings.index(rating) for rating in (5, 3, 4, 2)]  # Beam may write rows in any order.
    return {name: values.numpy()[order] for name, values in batch.items()}


def test_ids_are_ordered_by_frequency_and_unknown_ones_share_the_last_index(transformed, batch):
    transform, _ = transformed
    assert transform.vocabulary_by_name("item_id")[0] == b"1"
    assert batch["item_id"][0] == batch["item_id"][2] == 0
    assert inputs.bucket_counts(transform)["item_id"] == 3 + 1
    assert inputs.oov_index(transform, "item_id") == 3


def test_histories_use_the_items_own_vocabulary_and_are_padded(transformed, batch):
    indices = {name.decode(): i for i, name in enumerate(transformed[0].vocabulary_by_name("item_id"))}
    assert batch["history_item_id"].tolist() == [[-1, -1], [indices["1"], -1], [indices["2"], 3], [-1, -1]]


def test_gaps_are_logs_of_seconds_and_unknown_times_say_so(batch):
    assert batch["history_gap"][1, 0] == pytest.approx(np.log1p(1000))
    assert batch["history_gap"][2].tolist() == pytest.approx([np.log1p(60), UNKNOWN_GAP])


def test_title_words_are_lower_case_and_keep_accents(transformed, batch):
    words = [word.decode() for word in transformed[0].vocabulary_by_name("title")]
    assert words[0] == "star"
    assert set(words) == {"star", "wars", "1977", "trek", "amélie", "alone"}
    assert [words[i] for i in batch["title"][1] if i >= 0] == ["star", "trek", "amélie"]


def test_genres_are_a_padded_list(batch):
    assert (batch["tags"] >= 0).sum(axis=1).tolist() == [2, 1, 2, 0]


def test_preference_begins_at_the_threshold(batch):
    assert batch["preference"].tolist() == [1, 0, 1, 0]
    assert batch["rating"].tolist() == [5, 3, 4, 2]


def test_timestamps_are_bucketed(batch):
    assert batch["timestamp"].tolist() == [0, 0, 1, 1]


def test_a_missing_number_is_the_mean(batch):
    ages = np.array([20, 20, 40])
    expected = (ages - ages.mean()) / ages.std()
    assert batch["age"] == pytest.approx([expected[0], expected[1], 0, expected[2]])


def test_the_raw_id_is_passed_through(batch):
    assert batch["item_key"].tolist() == [b"1", b"2", b"1", b"3"]


def test_one_side_can_be_transformed_without_the_other(transformed):
    import tensorflow as tf

    raw = {
        "item_id": tf.constant(["1", "never seen"]),
        "title": tf.constant(["Star Wars (1977)", ""]),
        "tags": tf.sparse.from_dense([["Action"], [""]]),
    }
    features = model_features(raw, transformed[0])
    assert features["item_id"].numpy().tolist() == [0, 3]
    assert features["tags"].numpy().tolist()[1] == [-1]
    assert "user_id" not in features
