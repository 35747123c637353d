"""What the trainers share."""

import json

import numpy as np
import pytest
import tensorflow as tf

from models import inputs, training
from models.catalogue import Catalogue
from models.errors import UserError
from models.ranking import RankingModel
from models.retrieval import RetrievalModel
from models.settings import Ranking, Retrieval, Training
from tests.models.conftest import FEATURES


def test_training_rows_are_counted_and_summarised(transformed):
    transform, file = transformed
    found = training.training_rows([file], transform)
    assert found.rows == 4
    assert found.item_counts[[0, 3]].tolist() == [2, 0] and found.item_counts.sum() == 4
    assert found.ratings == (2.0, 5.0, 3.5, 0.5)


@pytest.mark.parametrize(("rows", "expected"), [(10, 10), (1000, 64)])
def test_a_small_data_set_is_one_batch(rows, expected):
    assert training.fitting_batch_size(Training(batch_size=64), rows) == expected


@pytest.mark.parametrize("kind", ["retrieval", "ranking"])
def test_training_learns_the_rows(transformed, tmp_path, kind):
    transform, file = transformed
    rows = training.training_rows([file], transform)
    if kind == "ranking":
        config = Ranking(epochs=60, batch_size=4, weight_decay=0, dropout=0, choice_loss_weight=0, learning_rate=0.02)
        model = RankingModel(config, FEATURES, transform, rows)
    else:
        (batch,) = inputs.dataset([file], transform, 10)
        features = {name: batch[name].numpy() for name in FEATURES.candidate_names()}
        catalogue = Catalogue(batch["item_key"].numpy(), batch["item_key"].numpy(), features)
        config = Retrieval(epochs=60, batch_size=4, weight_decay=0, user_dropout=0, uniform_negatives=2)
        model = RetrievalModel(config, FEATURES, transform, catalogue, rows)
    batches = inputs.dataset([file], transform, 4, shuffle_seed=1)
    (batch,) = batches
    before = float(model.compute_loss(batch))
    fitted = training.fit(model, batches, config, rows.rows, str(tmp_path))
    assert float(model.compute_loss(batch)) < before / 2
    assert fitted["train_seconds"] > 0
    assert len(fitted["losses"]) == 60 and fitted["losses"][-1] < fitted["losses"][0]
    assert list(tmp_path.rglob("events.out.tfevents.*"))


def test_validation_is_written_beside_the_logs(tmp_path):
    training.write_validation({"rmse": float(np.float32(0.5))}, str(tmp_path))
    assert json.loads((tmp_path / training.VALIDATION_FILE).read_text()) == {"rmse": 0.5}


@pytest.mark.parametrize(
    ("jobs", "task", "expected"),
    [
        ([], (None, None), True),
        (["worker"], ("worker", 0), True),
        (["worker"], ("worker", 1), False),
        (["chief", "worker"], ("chief", 0), True),
        (["chief", "worker"], ("worker", 0), False),
    ],
)
def test_one_process_of_a_cluster_is_its_chief(jobs, task, expected):
    spec = tf.train.ClusterSpec({job: [f"{job}{n}:1" for n in range(2)] for job in jobs})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(spec, task_type=task[0], task_id=task[1])
    assert training.is_chief(resolver) == expected


def test_a_training_that_diverges_is_stopped(transformed, tmp_path):
    transform, file = transformed
    rows = training.training_rows([file], transform)
    config = Ranking(epochs=5, batch_size=4, weight_decay=0, learning_rate=1e30)
    batches = inputs.dataset([file], transform, 4, shuffle_seed=1)
    with pytest.raises(UserError, match=r"the loss is (nan|inf) after epoch \d: lower learning_rate"):
        training.fit(RankingModel(config, FEATURES, transform, rows), batches, config, rows.rows, str(tmp_path))
