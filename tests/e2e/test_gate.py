"""Models that must not be pushed, each really built, trained or broken, against an honest one that is live.

The pipeline's own executors run in this process, on the artifacts of the shared run.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.atomic_pusher.component import AtomicPusher
from components.evaluator.component import RecommenderEvaluator
from components.evaluator.predictions import load
from components.files import EVALUATION_FILE, INFRA_VALIDATION_FILE
from components.infra_validator.asked import Asked, Recommendable
from components.infra_validator.component import ServedModelValidator
from components.infra_validator.executor import ask
from components.live_model.component import LiveModel
from components.queries import ask as ask_model
from components.queries import assume, read_queries, request
from components.recommender_builder.component import RecommenderBuilder
from components.recommender_trainer.component import RecommenderTrainer
from models import inputs
from pipeline.config import load_config
from pipeline.data import checks
from pipeline.steps import TRAINERS, Step
from tests.e2e import faults
from tests.e2e.conftest import OVERRIDES
from tests.e2e.steps import Steps, artifacts

CONFIG = load_config("demo", OVERRIDES)
ORIGIN = "other than the shared run's"


@pytest.fixture
def steps(small_run, tmp_path):
    return Steps(small_run[0], tmp_path)


@pytest.fixture(scope="module")
def made(small_run):
    """The shared run's artifacts, by the names of the components' inputs."""
    return artifacts(small_run[0])


@pytest.fixture(scope="module")
def pushed(small_run):
    """Where the shared run pushed its model to."""
    return small_run[0] / "serving_models" / "recommender"


@pytest.fixture
def trained(made, steps):
    """Trains a model as the pipeline does; returns what later components take of it."""

    def trained(step, examples=made["transformed_examples"], **changed):
        outputs = steps.execute(step, RecommenderTrainer, made | {"examples": examples}, **changed)
        if step is Step.RANKING_TRAINER:
            return {"ranking_model": outputs["model"]}
        return {"retrieval_model": outputs["model"], "retrieval_run": outputs["model_run"]}

    return trained


@pytest.fixture
def validate_and_push(steps, tmp_path):
    """Runs the last two components; returns why the server's answers are refused, and the versions that are new."""

    def validate_and_push(given):
        served = tmp_path / "served"
        served.mkdir(exist_ok=True)
        before = set(os.listdir(served))
        validated = steps.execute(Step.INFRA_VALIDATOR, ServedModelValidator, given)
        blessings = {"model_blessing": given["model_blessing"], "infra_blessing": validated["blessing"]}
        pusher = steps.execute(Step.PUSHER, AtomicPusher, blessings, push_destination=str(served))
        new = sorted(set(os.listdir(served)) - before)
        assert pusher["pushed_model"][0].get_int_custom_property("pushed") == len(new)
        report = json.loads(Path(validated["blessing"][0].uri, INFRA_VALIDATION_FILE).read_text())
        return report["refused_because"], new

    return validate_and_push


@pytest.fixture
def gate(made, pushed, steps, validate_and_push, tmp_path):
    """Builds a model where none is given, and has it judged and perhaps pushed.

    Returns all reasons against it, and the versions that are new.
    """

    def gate(is_live=True, **changed):
        given, served = made | changed, str(tmp_path / "served")
        if is_live:
            shutil.copytree(pushed, served)
        if "model" not in changed:
            given |= steps.execute(Step.RECOMMENDER_BUILDER, RecommenderBuilder, given, origin=ORIGIN)
        live = steps.execute(Step.LIVE_MODEL, LiveModel, {}, push_destination=served, origin=ORIGIN)
        evaluated = steps.execute(Step.EVALUATOR, RecommenderEvaluator, given | {"live_model": live["model"]})
        evaluation = json.loads(Path(evaluated["evaluation"][0].uri, EVALUATION_FILE).read_text())
        live_version = evaluation["metrics"]["baselines"].get("live", {}).get("version")
        assert live_version == (os.listdir(pushed)[0] if is_live else None)
        served_reasons, new = validate_and_push(given | {"model_blessing": evaluated["blessing"]})
        return evaluation["not_blessed_because"] + served_reasons, new

    return gate


@pytest.fixture
def refused(gate):
    """Judges a model that must not be pushed; returns the names of the thresholds that it misses, and all reasons."""

    def refused(**changed):
        reasons, new = gate(**changed)
        assert reasons and not new
        return {reason.split(":")[0] for reason in reasons}, reasons

    return refused


def test_an_honest_model_passes_the_same_gate(gate, made):
    reasons, new = gate(model=made["model"])
    assert reasons == [] and len(new) == 1


def test_the_pushed_model_holds_warm_up_requests(pushed):
    (version,) = pushed.iterdir()
    requests = tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests"))
    assert len(list(requests)) == 6


def with_shuffled_labels(examples, directory):
    """Transformed examples whose items, and whose ratings, are dealt out anew among the train rows."""
    shutil.copytree(examples.uri, directory)
    rng = np.random.default_rng(0)
    files = {path: inputs.read_records([str(path)]) for path in sorted(directory.glob("Split-train/*"))}
    timelines = {path: [*map(tf.train.Example.FromString, records)] for path, records in files.items()}
    every = [one.features.feature for of_file in timelines.values() for one in of_file]
    for kind, labels in (("int64_list", ["item_id"]), ("float_list", ["rating", "positive"])):
        order = rng.permutation(sum(len(one["item_id"].int64_list.value) for one in every))
        for name in labels:
            lists = [getattr(one[name], kind).value for one in every]
            dealt = iter(np.concatenate(lists)[order])
            for values in lists:
                values[:] = [next(dealt) for _ in values]
    for path, of_file in timelines.items():
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for one in of_file:
                writer.write(one.SerializeToString())
    shuffled = standard_artifacts.Examples()
    shuffled.uri, shuffled.split_names = str(directory), examples.split_names
    return [shuffled]


def test_shuffled_labels(made, trained, refused, tmp_path):
    """No user has any taste in what both models are trained on."""
    shuffled = with_shuffled_labels(made["transformed_examples"][0], tmp_path / "shuffled")
    retrieval, ranking = (trained(step, shuffled) for step in TRAINERS)
    missed, _ = refused(**retrieval, **ranking)
    assert {"rating_error", "lists_kept", "rating_error_kept"} <= missed


def test_training_cut_to_nothing(trained, refused):
    missed, _ = refused(**trained(Step.RETRIEVAL_TRAINER, epochs=0), **trained(Step.RANKING_TRAINER, epochs=0))
    assert {"better_than_popularity", "retrieval_kept"} <= missed


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (faults.timestamps_in_milliseconds, "train_serve_parity"),
        (faults.stale_index, "index_recall"),
        (faults.nothing_seen, "nothing_seen"),
    ],
)
def test_a_servable_that_is_built_wrongly(fault, reason, refused, monkeypatch):
    fault(monkeypatch)
    assert reason in refused(is_live=False)[0]


def test_a_vocabulary_swapped_after_training(made, refused, tmp_path):
    graph = standard_artifacts.TransformGraph()
    graph.uri = str(tmp_path / "graph")
    shutil.copytree(made["transform_graph"][0].uri, graph.uri)
    vocabulary = Path(graph.uri, "transform_fn", "assets", "item_id")
    vocabulary.write_bytes(b"\n".join(vocabulary.read_bytes().splitlines()[::-1]) + b"\n")
    assert "train_serve_parity" in refused(is_live=False, transform_graph=[graph])[0]


def test_a_model_that_is_fine_overall_and_worse_on_the_tail(trained, refused, monkeypatch):
    faults.worse_on_the_tail(monkeypatch)
    missed, (reason,) = refused(**trained(Step.RETRIEVAL_TRAINER))
    assert missed == {"tail_kept"}
    assert "for item=tail is " in reason and "of the live model" in reason


def test_a_model_that_was_damaged_after_its_blessing(made, validate_and_push, tmp_path):
    damaged = standard_artifacts.Model()
    damaged.uri = str(tmp_path / "damaged")
    shutil.copytree(made["model"][0].uri, damaged.uri)
    (weights,) = Path(damaged.uri).rglob("variables.data-*")
    weights.write_bytes(weights.read_bytes()[: 1 << 10])
    (reason,), new = validate_and_push(made | {"model": [damaged]})
    assert reason.startswith("the model does not load: ") and not new


def test_the_infra_validator_alone_notices_what_was_had(pushed):
    """Asked about a user of whom it is told wrongly what the user had, it finds items that it takes for that."""
    (version,) = pushed.iterdir()
    query = {
        "user_id": tf.constant(["1"]),
        "timestamp": tf.constant([1_500_000_000], tf.int64),
        "history_item_id": tf.constant([["1"]]),
        "history_timestamp": tf.constant([[1_400_000_000]], tf.int64),
    }
    had = frozenset(str(number) for number in range(1, 300))
    settings = CONFIG.infra_validator.model_copy(update={"batch": 2})
    found = ask(str(version), settings, Asked(query, tf.constant(["1"]), [had], False), Recommendable(had | {"300"}))
    (reason, *_) = [reason for reason in found["refused_because"] if "serving_default for known users" in reason]
    assert reason.endswith(" was seen or is not wanted, and is recommended")


def test_what_a_servable_assumes_changes_what_is_known_and_nothing_else(made, pushed):
    """The Evaluator's servable is the pushed one, without the eval rows: what is popular now is other, too."""
    (version,) = pushed.iterdir()
    given, assumed = (load(str(version)) for _ in range(2))
    features = checks.features(CONFIG)
    files = ([f"{made['examples'][0].uri}/Split-{split}/*"] for split in ("train", "eval"))
    queries, train = read_queries(*files, features)
    assume(assumed, train)
    changed = [
        (one.name, one.shape)
        for one, other in zip(
            *(model.signatures["serving_default"].variables for model in (assumed, given)), strict=True
        )
        if one.shape != other.shape or not np.array_equal(one.numpy(), other.numpy())
    ]
    assert len(changed) == 4, "of all tables only the users' interactions, and that they are not all known"
    batch = queries.at(tf.range(200, dtype=tf.int64))
    items = {"item_id": batch["item_id"][:, tf.newaxis]}
    query = request(batch, features)
    nobody = query | {"user_id": tf.zeros_like(query["user_id"])}
    alike = {
        "rank": [query | items, nobody | items],
        "retrieve": [nobody],
        "recommend": [nobody],
        "similar": [{"item_id": batch["item_id"]}],
    }
    for signature, asked in alike.items():
        for one in asked:
            for name, values in ask_model(assumed, signature, one).items():
                np.testing.assert_array_equal(values, ask_model(given, signature, one)[name], f"{signature} {name}")
    now = {"user_id": tf.constant([""])}
    scores = [ask_model(model, "serving_default", now)["score"] for model in (assumed, given)]
    assert not np.array_equal(*scores), "popular now is what all rows tell, or train's alone"
    had = {user: set() for user in batch["user_id"].numpy().tolist()}
    for user, item in zip(train.users["user_id"][train.user_of_rows()], train.rows["item_id"], strict=True):
        had.get(user, set()).add(item)
    wanted, users = (batch[name].numpy().tolist() for name in ("item_id", "user_id"))
    before, after = (ask_model(model, "retrieve", query)["item_id"].tolist() for model in (given, assumed))
    assert not any(item in row for item, row in zip(wanted, before, strict=True)), "the pushed one knows the eval rows"
    assert np.mean([item in row for item, row in zip(wanted, after, strict=True)]) > 0.3
    assert not any(had[user] & {*row} for user, row in zip(users, after, strict=True))
