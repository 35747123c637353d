"""Whom a candidate is asked about, and what tells of the model that is asked, and what of the machine alone."""

import json

import pytest
from tfx.types import standard_artifacts

from components.files import INFRA_VALIDATION_FILE
from components.infra_validator.asked import Asked, Recommendable
from components.infra_validator.executor import Executor, ask
from components.infra_validator.settings import InfraValidation
from models.features.feature_set import FeatureSet, Histories
from serving.errors import NotStarted
from tests.models.conftest import write_timelines
from tests.serving.conftest import export

FEATURES = FeatureSet(rated=False, histories=Histories(length=2))
TRAIN = [
    {"user_id": "ann", "rows": [("a", 1_000), ("b", 2_000), ("c", 3_000)]},
    {"user_id": "cat", "rows": [("a", 1_000)]},
]
EVAL = [
    {"user_id": "bob", "rows": [("c", 3_000)]},
    {"user_id": "ann", "rows": [("d", 4_000), ("e", 5_000)]},
    {"user_id": "cat", "rows": [("e", 6_000)]},
]


@pytest.fixture
def asked(tmp_path):
    """Reads so many of these users."""
    for split, timelines in (("train", TRAIN), ("eval", EVAL)):
        write_timelines(tmp_path / split / "data.gz", timelines, FEATURES)
    return lambda count, features=FEATURES: Asked.read(str(tmp_path / "train"), str(tmp_path / "eval"), features, count)


def test_the_first_eval_row_of_each_user_is_asked_about_and_known_users_come_first(asked):
    found = asked(2)
    inputs = {name: values.numpy().tolist() for name, values in found.inputs.items()}
    assert inputs == {
        "user_id": [b"ann", b"bob"],
        "timestamp": [4_000, 3_000],
        "history_item_id": [[b"c", b"b"], [b"", b""]],
        "history_timestamp": [[3_000, 2_000], [0, 0]],
    }
    assert found.items.numpy().tolist() == [b"d", b"c"]
    assert found.had == [{*"abcde"}, {"c"}], "in both splits, which is what the servable knows"
    assert not found.repeats and asked(1, FeatureSet(rated=False, histories=Histories(repeats=True))).repeats


def test_all_users_are_asked_about_where_there_are_no_more(asked):
    assert asked(50).inputs["user_id"].numpy().tolist() == [b"ann", b"cat", b"bob"]


def test_nothing_is_blessed_where_there_is_no_model(tmp_path):
    """As a Refitter leaves it, after the Evaluator's refusal."""
    model, blessing = standard_artifacts.Model(), standard_artifacts.InfraBlessing()
    model.uri, blessing.uri = str(tmp_path / "model"), str(tmp_path / "blessing")
    Executor().Do({"model": [model]}, {"blessing": [blessing]}, {})
    assert [blessing.get_int_custom_property(name) for name in ("blessed", "has_model")] == [0, 0]
    report = json.loads((tmp_path / "blessing" / INFRA_VALIDATION_FILE).read_text())
    assert report["refused_because"] == [] and "no model" in report["skipped"]


def test_a_model_that_cannot_answer_is_refused(tmp_path, asked):
    export(tmp_path / "model")  # It has none of the recommender's outputs.
    (reason,) = ask(str(tmp_path / "model"), InfraValidation(batch=2), asked(1), Recommendable(frozenset("abcde")))[
        "refused_because"
    ]
    assert "recommend" in reason


def test_a_server_that_does_not_start_refuses_no_model(tmp_path, asked):
    export(tmp_path / "model")
    with pytest.raises(NotStarted, match=r"was not ready within 0\.01 s"):
        ask(str(tmp_path / "model"), InfraValidation(ready_seconds=0.01), asked(1), Recommendable(frozenset("abcde")))
