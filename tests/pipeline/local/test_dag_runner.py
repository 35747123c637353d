"""What the local runner starts next, given what runs and what waits."""

import multiprocessing
import os

import pytest
from tfx.proto.orchestration import pipeline_pb2

from pipeline.local.dag_runner import DagRunner, to_shown_error
from pipeline.local.progress import Progress

# A diamond with two trainers in its middle, and one component that depends on nothing.
UPSTREAM = {"read": [], "look": [], "left": ["read"], "right": ["read"], "join": ["left", "right"]}
TRAINERS = ("left", "right")


@pytest.fixture
def ready(monkeypatch):
    """Gives the components to start, of those that neither run nor are done."""

    def ask(processors, running=(), done=(), side_by_side=True):
        monkeypatch.setattr(os, "cpu_count", lambda: processors)
        runner = DagRunner(Progress(list(UPSTREAM), None), TRAINERS, side_by_side)
        runner._running = {number: multiprocessing.Process(name=name) for number, name in enumerate(running)}
        waiting = {}
        for name, upstream in UPSTREAM.items():
            if name not in (*running, *done):
                waiting[name] = pipeline_pb2.PipelineNode(upstream_nodes=upstream)
                waiting[name].node_info.id = name
        return runner._ready(waiting)

    return ask


def test_what_depends_on_nothing_starts_first(ready):
    assert ready(8) == ["read", "look"]


def test_a_component_waits_while_one_that_it_needs_runs_or_waits(ready):
    assert ready(8, running=["read"], done=["look"]) == []
    assert ready(8, running=["right"], done=["read", "look", "left"]) == []


def test_a_component_starts_when_all_that_it_needs_are_done(ready):
    assert ready(8, done=["read", "look", "left", "right"]) == ["join"]


def test_no_more_components_run_than_there_are_processors(ready):
    assert ready(1) == ["read"]
    assert ready(2, running=["look"], done=["read"]) == ["left"]
    assert ready(2, running=["look", "left"], done=["read"]) == []


def test_trainers_start_side_by_side(ready):
    assert ready(8, done=["read", "look"]) == ["left", "right"]
    assert ready(8, running=["left"], done=["read", "look"]) == ["right"]


def test_a_trainer_that_has_to_be_alone_waits_for_the_other_and_for_nothing_else(ready):
    assert ready(8, done=["read", "look"], side_by_side=False) == ["left"]
    assert ready(8, running=["right"], done=["read", "look"], side_by_side=False) == []
    assert ready(8, running=["look"], done=["read", "left"], side_by_side=False) == ["right"]


def test_a_trainer_beside_others_leaves_them_their_processors(ready):
    assert ready(2, running=["left"], done=["read"], side_by_side=False) == ["look"]


def test_nothing_is_left_to_start_at_the_end(ready):
    assert ready(8, running=["join"], done=["read", "look", "left", "right"]) == []
    assert ready(8, done=list(UPSTREAM)) == []


def test_wrong_input_that_beam_made_text_of_is_still_wrong_input():
    text = "Traceback …\nmodels.errors.UserError: ratings.csv is empty [while running 'Read']\nand more"
    error = to_shown_error(RuntimeError(text), "InteractionGen")
    assert (type(error).__name__, str(error)) == ("UserError", "ratings.csv is empty")


def test_any_other_error_has_the_components_name_and_its_first_and_last_line():
    error = to_shown_error(RuntimeError("first\nsecond\nlast"), "Transform")
    assert (type(error).__name__, str(error)) == ("RunError", "Transform failed: RuntimeError: first … last")
