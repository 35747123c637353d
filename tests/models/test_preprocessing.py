"""Transform's output on rows whose right answer can be written down."""

import numpy as np
import pytest

from models import inputs
from models.queries import in_order

OOV = 3  # Of the items.


def held_out(data):
    (batch,) = in_order(data.eval, 10)
    return batch


def test_ids_are_ordered_by_frequency_and_unknown_ones_share_the_last_index(data):
    assert data.transform.vocabulary_by_name("item_id") == [b"1", b"2", b"3"]
    assert inputs.bucket_counts(data.transform)["item_id"] == OOV + 1
    assert inputs.oov_index(data.transform, "item_id") == OOV
    assert data.train.rows["item_id"].tolist() == [0, 1, 1, 0, 0, 2]
    assert held_out(data)["item_id"].numpy().tolist() == [2, 1, OOV]


def test_users_of_train_are_known_and_others_are_not(data):
    users = data.transform.vocabulary_by_name("user_id")
    assert sorted(users) == [b"a", b"b", b"c"]
    assert [users[index] for index in data.train.users["user_id"]] == [b"a", b"b", b"c"]
    assert held_out(data)["user_id"].numpy().tolist() == [users.index(b"a"), 3, 3]


def test_histories_hold_the_users_other_items(rows):
    assert rows["history_item_id"].numpy().tolist() == [[-1], [0], [-1], [1], [-1], [0]]


def test_gaps_are_logs_of_seconds_and_unknown_times_say_so(rows):
    gaps = rows["history_gap"].numpy()[:, 0]
    assert gaps == pytest.approx([-1, np.log1p(1000), -1, np.log1p(60), -1, np.log1p(30)])


def test_title_words_are_lower_case_and_keep_accents(data):
    words = [word.decode() for word in data.transform.vocabulary_by_name("title")]
    assert words[0] == "star"
    assert set(words) == {"star", "wars", "1977", "trek", "amélie", "alone"}
    assert [words[i] for i in data.catalogue.features["title"][1] if i >= 0] == ["star", "trek", "amélie"]


def test_tags_are_padded_lists(data):
    assert (data.catalogue.features["tags"] >= 0).sum(axis=1).tolist() == [2, 1, 0, 1, 0]
    assert (data.train.users["clubs"] >= 0).sum(axis=1).tolist() == [2, 0, 1]


def test_positive_begins_at_the_configured_rating(rows):
    assert rows["positive"].numpy().tolist() == [1, 0, 0, 1, 1, 0]
    assert rows["rating"].numpy().tolist() == [5, 3, 3.5, 4, 4.5, 2]


def test_timestamps_are_bucketed_and_kept(data):
    assert data.train.rows["moment"].tolist() == [0, 0, 0, 1, 1, 2]
    assert held_out(data)["moment"].numpy().tolist() == [2, 2, 2], "after the train rows"
    assert data.train.rows["timestamp"].tolist() == [1_000, 2_000, 2_940, 3_000, 3_970, 4_000]


def test_a_missing_number_is_the_mean(data):
    assert data.train.users["age"] == pytest.approx([-1, 0, 1])
    assert held_out(data)["age"].numpy() == pytest.approx([-1, 0, 0])


def test_a_number_on_a_log_scale_is_the_score_of_its_logarithm(data):
    assert data.catalogue.features["price"] == pytest.approx([-1, 0, 1, 0, 0])


def test_a_vector_is_scaled_by_the_mean_length_and_zeros_where_it_is_missing(data):
    np.testing.assert_allclose(
        data.catalogue.features["image"] * 3, [[3, 4], [0, 0], [0, 1], [0, 0], [0, 0]], rtol=1e-6
    )


def test_context_belongs_to_the_row(data, rows):
    devices = data.transform.vocabulary_by_name("device")
    assert devices == [b"phone", b"tv"]
    assert rows["device"].numpy().tolist() == [0, 0, 1, 2, 0, 1]
    assert held_out(data)["device"].numpy().tolist() == [0, 2, 1]
    assert rows["volume"].numpy() == pytest.approx(np.array([-1, 1, 0, -1, 1, 0]) / np.sqrt(0.8))


def test_the_raw_id_is_passed_through_in_eval_rows_only(data, rows):
    assert held_out(data)["item_key"].numpy().tolist() == [b"3", b"2", b"9"]
    assert "item_key" not in rows


def test_candidates_of_train_are_in_the_order_of_the_vocabulary_and_the_last_row_is_unknown(data):
    catalogue = data.catalogue
    assert catalogue.ids.tolist() == [b"1", b"2", b"3", b"9"]
    assert catalogue.titles.tolist()[0] == b"Star Wars (1977)"
    assert catalogue.features["item_id"].tolist() == [0, 1, 2, OOV, OOV]
    assert catalogue.rows(np.array([b"9", b"2", b"never seen"])).tolist() == [3, 1, 4]


def test_an_unknown_user_has_no_features(data):
    nobody = {name: np.asarray(value).tolist() for name, value in data.unknown_user.items()}
    assert nobody == {"user_id": 3, "age": 0, "clubs": -1}


def test_what_is_repeated_of_a_timeline_is_neither_counted_nor_read_twice(shop):
    assert shop.transform.vocabulary_by_name("item_id")[0] == b"x", "seen twice, as y would be if counted twice"
    assert shop.train.starts.tolist() == [0, 3, 4]
    assert shop.train.rows["timestamp"].tolist() == [1_000, 2_000, 3_000, 2_500]
    assert shop.item_counts.tolist() == [2, 1, 1, 0]


def test_kinds_of_events_are_weights_and_positives(shop):
    np.testing.assert_allclose(shop.train.rows["weight"], np.array([1, 3, 1, 1]) / 1.5)
    assert shop.train.rows["positive"].tolist() == [0, 1, 0, 0]
    (eval_rows,) = in_order(shop.eval, 10)
    assert eval_rows["positive"].numpy().tolist() == [1]
    assert "rating" not in shop.train.rows


def test_items_without_titles_are_called_by_their_ids(shop):
    assert shop.catalogue.titles.tolist() == shop.catalogue.ids.tolist()
