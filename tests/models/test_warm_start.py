"""Training that goes on: what the weights of the model before become in a new one."""

import json

import numpy as np
import pytest
import tensorflow as tf

from models import training, warm_start
from models.ranking import RankingModel
from models.ranking import run as run_ranking
from models.retrieval import RetrievalModel
from models.retrieval import run as run_retrieval
from models.settings import Ranking, Retrieval, Training
from tests.models.conftest import SHOP, SHOP_EVAL, SHOP_ITEMS, SHOP_TRAIN, transform

# Item w, which is first in its vocabulary, and user cid are new.
NEXT_TRAIN = [{"user_id": "cid", "rows": [("w", 4_000 + second, "buy") for second in range(6)]}, *SHOP_TRAIN]
KINDS = {"retrieval": (RetrievalModel, Retrieval), "ranking": (RankingModel, Ranking)}


@pytest.fixture(scope="module")
def next_shop(tmp_path_factory):
    """The next night's data."""
    items = [*SHOP_ITEMS, {"item_id": "w"}]
    return training.TrainingData(transform(tmp_path_factory.mktemp("next"), SHOP, NEXT_TRAIN, SHOP_EVAL, items))


def kept_of(model, data, tmp_path, split="{}"):
    path = str(tmp_path / "kept" / "model.npz")
    warm_start.keep(model, data, split, path)
    return warm_start.read(path)


def numbers(model):
    """Gives every weight numbers that no other has."""
    for place, variable in enumerate(model.variables):
        variable.assign(1000 * (place + 1) + np.arange(np.prod(variable.shape)).reshape(variable.shape))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_gives_the_same_model(kind, data, tmp_path):
    make, config = KINDS[kind]
    before, after = numbers(make(config(), data)), make(config(), data)
    begun = warm_start.begin(after, data, "{}", kept_of(before, data, tmp_path))
    assert begun.warm and not any(begun.new.values())
    for ours, theirs in zip(after.variables, before.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_rows_go_with_their_entries_and_what_is_new_begins_anew(shop, next_shop, tmp_path):
    before = numbers(RetrievalModel(Retrieval(), shop))
    after = RetrievalModel(Retrieval(), next_shop)
    begun = warm_start.begin(after, next_shop, "{}", kept_of(before, shop, tmp_path))
    assert begun[:4] == (True, "", {"item_id": 3, "user_id": 2}, {"item_id": 1, "user_id": 1})
    of_cid = next_shop.train.users["user_id"] == next_shop.transform.vocabulary_by_name("user_id").index(b"cid")
    assert begun.new_rows.tolist() == np.flatnonzero(of_cid[next_shop.train.user_of_rows()]).tolist()
    for vocabulary, of in (
        ("item_id", lambda m: m.candidate_tower._item._id),
        ("user_id", lambda m: m.query_tower._user._id),
    ):
        old, new = (of(model).embeddings.numpy() for model in (before, after))
        entries, later = (some.transform.vocabulary_by_name(vocabulary) for some in (shop, next_shop))
        for row, entry in enumerate(later):
            if entry not in entries:
                assert abs(new[row]).max() < 1
            else:
                np.testing.assert_array_equal(new[row], old[entries.index(entry)])
        assert abs(new[len(later) :]).max() >= 1000  # Out of vocabulary, as before.


def test_a_time_bucket_begins_with_what_was_learnt_of_its_time(shop, next_shop, tmp_path):
    before = RetrievalModel(Retrieval(moment_buckets=[1]), shop)
    after = RetrievalModel(Retrieval(moment_buckets=[1]), next_shop)
    kept = kept_of(numbers(before), shop, tmp_path)
    assert warm_start.begin(after, next_shop, "{}", kept).warm
    (old,), (new,) = (model.query_tower._moment._tables for model in (before, after))
    firsts = kept.rows["moment"]
    times, buckets = next_shop.train.rows["timestamp"], next_shop.train.rows["moment"]
    for bucket in range(new.input_dim):
        then = np.searchsorted(firsts, times[buckets == bucket].min(), side="right") - 1
        np.testing.assert_array_equal(new.embeddings[bucket], old.embeddings[min(then, old.input_dim - 1)])


@pytest.mark.parametrize(
    ("split", "config", "because"),
    [
        ('{"kind": "random"}', Ranking(), "another split"),
        ("{}", Ranking(embedding_dim=8), "another shape (_"),
        ("{}", Ranking(layers=[8]), "another shape (_layers._more.layer_with_weights-1"),
    ],
)
def test_what_does_not_fit_is_a_cold_start(split, config, because, shop, tmp_path):
    kept = kept_of(RankingModel(Ranking(), shop), shop, tmp_path)
    model = RankingModel(config, shop)
    before = [weights.numpy() for weights in model.variables]
    begun = warm_start.begin(model, shop, split, kept)
    assert not begun.warm and because in begun.because
    for weights, expected in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut off", b"text"])
def test_a_model_that_keeps_nothing_is_a_cold_start(content, shop, tmp_path):
    path = tmp_path / "kept.npz"
    if content is not None:
        path.write_bytes(content)
    assert warm_start.read(str(path)) is None
    assert not warm_start.begin(RankingModel(Ranking(), shop), shop, "{}", None).warm


@pytest.mark.parametrize(("kind", "run"), [("retrieval", run_retrieval), ("ranking", run_ranking)])
def test_a_trainer_goes_on_from_what_the_one_before_has_kept(kind, run, tmp_path):
    job = transform(tmp_path / "data", SHOP, SHOP_TRAIN, SHOP_EVAL, SHOP_ITEMS)
    settings = json.dumps({"epochs": 3, "warm_share": 1, "batch_size": 2})
    live = ""
    for night, (epochs, warm) in enumerate([(3, False), (1, True)]):
        model_dir, run_dir = str(tmp_path / str(night)), str(tmp_path / f"run-{night}")
        run(job._replace(settings=settings, split="{}", begin_with=live, model_dir=model_dir, run_dir=run_dir))
        validation = json.loads((tmp_path / f"run-{night}" / training.VALIDATION_FILE).read_text())
        assert (len(validation["losses"]), validation["warm_start"]["warm"]) == (epochs, warm)
        live = model_dir
    first, second = (warm_start.read(warm_start.path(str(tmp_path / night), kind)).weights for night in "01")
    assert first.keys() == second.keys()
    assert any((first[name] != second[name]).any() for name in first)
    tf.saved_model.load(live)


@pytest.mark.parametrize(("share", "expected"), [(0, 6), (0.5, 8), (1, 10)])
def test_new_rows_come_once_and_of_the_others_a_share(share, expected, next_shop):
    new = np.arange(6)
    rows = training._again(next_shop, new, Training(warm_share=share))
    assert len(rows) == expected and len({*rows.tolist()}) == expected and {*new.tolist()} <= {*rows.tolist()}


def test_without_an_epoch_a_warm_model_stays_as_it_is(shop, tmp_path):
    model = RankingModel(Ranking(), shop)
    begun = warm_start.begin(model, shop, "{}", kept_of(model, shop, tmp_path))
    assert begun.warm and training.fit(model, shop, Ranking(epochs=0), str(tmp_path), begun)["losses"] == []


def test_nothing_is_kept_where_no_training_is_to_go_on(tmp_path):
    job = transform(tmp_path / "data", SHOP, SHOP_TRAIN, SHOP_EVAL, SHOP_ITEMS)
    run_ranking(job._replace(settings='{"epochs": 1}'))
    assert warm_start.read(warm_start.path(job.model_dir, "ranking")) is None
