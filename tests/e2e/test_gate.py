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
from tfx.orchestration import metadata
from tfx.types import standard_artifacts

from components.atomic_pusher.component import AtomicPusher
from components.base import BeamComponent
from components.evaluator.component import RecommenderEvaluator
from components.files import EVALUATION_FILE, INFRA_VALIDATION_FILE
from components.infra_validator.component import ServedModelValidator
from components.infra_validator.executor import ask
from components.live_model.component import LiveModel
from components.recommender_builder.component import RecommenderBuilder
from components.recommender_trainer.component import RecommenderTrainer
from models import inputs
from pipeline.beam_args import IN_PROCESS
from pipeline.config import load_config
from pipeline.outputs import PIPELINE_NAME, Outputs, connection
from pipeline.steps import TRAINERS, Step
from tests.e2e import faults
from tests.e2e.conftest import OVERRIDES

CONFIG = load_config("demo", OVERRIDES)
ORIGIN = "other than the shared run's"


class Steps:
    """Runs components' executors here, with the parameters of a finished run and other inputs.

    Args:
      run: the run's output directory.
      directory: for outputs.
    """

    def __init__(self, run, directory):
        self._connection, self._directory = connection(str(run)), directory

    def execute(self, step, component, given, **changed):
        """The outputs by key, each a list of one artifact."""
        outputs = {}
        for key, kind in component.SPEC_CLASS.OUTPUTS.items():
            outputs[key] = [kind.type()]
            outputs[key][0].uri = str(self._directory / step / key)
            Path(outputs[key][0].uri).mkdir(parents=True)
        on_beam = {"beam_pipeline_args": list(IN_PROCESS)} if issubclass(component, BeamComponent) else {}
        executor = component.EXECUTOR_SPEC.executor_class
        context = executor.Context(tmp_dir=str(self._directory / step), unique_id="1", **on_beam)
        executor(context).Do(given, outputs, self._parameters(step) | changed)
        return outputs

    def _parameters(self, step):
        with metadata.Metadata(self._connection) as handle:
            node = handle.store.get_context_by_type_and_name("node", f"{PIPELINE_NAME}.{step}")
            (execution,) = handle.store.get_executions_by_context(node.id)
        values = execution.custom_properties.items()
        return {name: getattr(value, value.WhichOneof("value")) for name, value in values}


@pytest.fixture
def steps(small_run, tmp_path):
    return Steps(small_run[0], tmp_path)


@pytest.fixture(scope="module")
def made(small_run):
    """The shared run's artifacts, by the names of the components' inputs."""
    found = Outputs(connection(str(small_run[0])))
    keys = {
        "examples": (Step.INTERACTION_GEN, "examples"),
        "items": (Step.ITEM_GEN, "examples"),
        "transformed_examples": (Step.TRANSFORM, "transformed_examples"),
        "transform_graph": (Step.TRANSFORM, "transform_graph"),
        "retrieval_model": (Step.RETRIEVAL_TRAINER, "model"),
        "retrieval_run": (Step.RETRIEVAL_TRAINER, "model_run"),
        "ranking_model": (Step.RANKING_TRAINER, "model"),
        "model": (Step.RECOMMENDER_BUILDER, "model"),
        "model_blessing": (Step.EVALUATOR, "blessing"),
    }
    return {name: [found.artifact(*key)] for name, key in keys.items()}


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
    assert len(list(requests)) == 5


def with_shuffled_labels(examples, directory):
    """Transformed examples whose items, and whose ratings, are dealt out anew among the train rows."""
    shutil.copytree(examples.uri, directory)
    first, *others = sorted(directory.glob("Split-train/*"))
    rows = [*map(tf.train.Example.FromString, inputs.read_records([str(path) for path in (first, *others)]))]
    rng = np.random.default_rng(0)
    orders = {labels: rng.permutation(len(rows)) for labels in (("item_id", "title", "tags"), ("rating", "preference"))}
    for path in others:
        path.unlink()
    with tf.io.TFRecordWriter(str(first), "GZIP") as writer:
        for number, row in enumerate(rows):
            mixed = tf.train.Example.FromString(row.SerializeToString())
            for labels, order in orders.items():
                for name in labels:
                    mixed.features.feature[name].CopyFrom(rows[order[number]].features.feature[name])
            writer.write(mixed.SerializeToString())
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


def test_the_infra_validator_alone_notices_what_was_seen(pushed):
    """Asked about a user whose history it is told wrongly, it finds items that it takes for seen."""
    (version,) = pushed.iterdir()
    example = tf.train.Example()
    example.features.feature["user_id"].bytes_list.value.append(b"1")
    example.features.feature["item_id"].bytes_list.value.append(b"1")
    example.features.feature["rating"].float_list.value.append(5.0)
    example.features.feature["timestamp"].int64_list.value.append(1_500_000_000)
    example.features.feature["history_item_id"].bytes_list.value.extend(str(n).encode() for n in range(1, 301))
    example.features.feature["history_timestamp"].int64_list.value.extend([1_400_000_000] * 300)
    settings = CONFIG.infra_validator.model_copy(update={"batch": 2})
    found = ask(str(version), settings, [example], {str(n) for n in range(1, 200)})
    assert any("serving_default for known users: item" in reason for reason in found["refused_because"])
