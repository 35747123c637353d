"""The DAG as it is declared: names, order, and what stops what."""

import itertools

import pytest

from pipeline import steps
from pipeline.config import load_config
from pipeline.dag import Parameters, create_pipeline
from pipeline.steps import Step


def made_of(overrides):
    """The components that `create_pipeline` makes."""
    config = load_config("movielens-csv", overrides)
    return create_pipeline(
        config=config,
        parameters=Parameters("/data", "latest", 1, "/models", "", 1, 1, "{}"),
        data_fingerprint="",
        features=config.features(with_users=False),
        origin="",
        live_as_of="",
        lost_versions="",
        pipeline_name="recommender",
        pipeline_root="/runs",
        beam_pipeline_args=[],
    ).components


@pytest.fixture(scope="module")
def components():
    """With all that a configuration may ask for."""
    return made_of(["refit=true", "warm_start=true"])


def test_the_steps_are_the_components_in_an_order_in_which_they_can_run(components):
    by_id = {component.id: component for component in components}
    names = [step.value for step in Step]
    assert sorted(by_id) == sorted(names)
    for number, name in enumerate(names):
        assert {node.id for node in by_id[name].upstream_nodes} <= set(names[:number]), name


@pytest.mark.parametrize("group", ["TRAINERS", "ON_BEAM", "PARALLEL", "NEVER_CACHED", "LARGE"])
def test_a_group_of_steps_names_each_once(group):
    members = getattr(steps, group)
    assert len(set(members)) == len(members) > 0
    assert set(members) <= set(Step)


def test_the_groups_are_all_that_steps_declares():
    declared = {name for name, value in vars(steps).items() if name.isupper() and isinstance(value, tuple)}
    assert declared == {"TRAINERS", "ON_BEAM", "PARALLEL", "NEVER_CACHED", "LARGE"}


def test_those_on_beam_are_the_components_that_take_beams_arguments(components):
    on_beam = [component.id for component in components if hasattr(component, "with_beam_pipeline_args")]
    assert sorted(on_beam) == sorted(step.value for step in steps.ON_BEAM)
    assert set(steps.PARALLEL) <= set(steps.ON_BEAM)


@pytest.mark.parametrize("validator", [Step.EXAMPLE_VALIDATOR, Step.ITEM_EXAMPLE_VALIDATOR, Step.DRIFT_VALIDATOR])
def test_no_trainer_starts_before_a_validator_has_passed_the_data(components, validator):
    by_id = {component.id: component for component in components}
    for trainer in steps.TRAINERS:
        assert by_id[validator] in by_id[trainer].upstream_nodes


def test_items_have_statistics_schema_and_validator_of_their_own(components):
    by_id = {component.id: component for component in components}
    chain = (Step.ITEM_GEN, Step.ITEM_STATISTICS_GEN, Step.ITEM_EXAMPLE_VALIDATOR)
    for before, after in itertools.pairwise(chain):
        assert by_id[before] in by_id[after].upstream_nodes
    assert by_id[Step.ITEM_SCHEMA_GEN] in by_id[Step.ITEM_EXAMPLE_VALIDATOR].upstream_nodes
    schemas = {step: by_id[step].exec_properties["text"] for step in (Step.SCHEMA_GEN, Step.ITEM_SCHEMA_GEN)}
    assert {step: ["user_id" in text, "title" in text] for step, text in schemas.items()} == {
        Step.SCHEMA_GEN: [True, False],
        Step.ITEM_SCHEMA_GEN: [False, True],
    }


def test_training_goes_on_and_models_are_refitted_only_where_that_is_asked_for(components):
    def of(config):
        made = {one.id: one for one in made_of(config)}
        return Step.REFITTER in made, "live_model" in made[Step.RANKING_TRAINER].inputs

    assert of([]) == (False, False)
    assert of(["refit=true"]) == (True, False)
    assert of(["warm_start=true"]) == (False, True)
    by_id = {component.id: component for component in components}
    assert by_id[Step.INFRA_VALIDATOR].inputs["model"].producer_component_id == Step.REFITTER


def test_a_model_is_served_and_asked_while_it_is_evaluated():
    by_id = {component.id: component for component in made_of([])}
    upstream = {node.id for node in by_id[Step.INFRA_VALIDATOR].upstream_nodes}
    assert Step.RECOMMENDER_BUILDER in upstream and Step.EVALUATOR not in upstream


def test_nothing_is_pushed_without_both_blessings(components):
    by_id = {component.id: component for component in components}
    upstream = {node.id for node in by_id[Step.PUSHER].upstream_nodes}
    assert upstream == {Step.EVALUATOR.value, Step.INFRA_VALIDATOR.value}
