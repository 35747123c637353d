"""What tells of the model that is asked, and what of the machine alone."""

import pytest
import tensorflow as tf

from components.infra_validator.executor import ask
from components.infra_validator.settings import InfraValidation
from serving.errors import NotStarted
from tests.serving.conftest import export


@pytest.fixture
def example():
    example = tf.train.Example()
    for name, value in (("user_id", b"1"), ("item_id", b"1")):
        example.features.feature[name].bytes_list.value.append(value)
    example.features.feature["rating"].float_list.value.append(5.0)
    example.features.feature["timestamp"].int64_list.value.append(1_500_000_000)
    return example


def test_a_model_that_cannot_answer_is_refused(tmp_path, example):
    export(tmp_path / "model")  # It has none of the recommender's outputs.
    (reason,) = ask(str(tmp_path / "model"), InfraValidation(batch=2), [example], {"1"})["refused_because"]
    assert "recommend" in reason


def test_a_server_that_does_not_start_refuses_no_model(tmp_path, example):
    export(tmp_path / "model")
    with pytest.raises(NotStarted, match=r"was not ready within 0\.01 s"):
        ask(str(tmp_path / "model"), InfraValidation(ready_seconds=0.01), [example], {"1"})
