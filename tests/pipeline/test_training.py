"""What the trainers share."""

import json

import numpy as np
import pytest

from pipeline import training
from pipeline.config import Training


def test_label_summary_counts_the_training_rows(transformed):
    transform, file = transformed
    found = training.label_summary([file], transform)
    assert found.rows == 4
    assert found.rating_range == (2.0, 5.0)
    assert (found.mean_rating, found.mean_preference) == (3.5, 0.5)


def test_item_counts_are_by_index(transformed):
    transform, file = transformed
    counts = training.item_counts([file], transform)
    assert counts.sum() == 4 and counts[0] == 2 and counts[3] == 0


@pytest.mark.parametrize(("rows", "expected"), [(10, 10), (1000, 64)])
def test_a_small_data_set_is_one_batch(rows, expected):
    assert training.fitting_batch_size(Training(batch_size=64), rows) == expected


def test_validation_is_written_beside_the_logs(tmp_path):
    training.write_validation({"rmse": float(np.float32(0.5))}, str(tmp_path))
    assert json.loads((tmp_path / training.VALIDATION_FILE).read_text()) == {"rmse": 0.5}
