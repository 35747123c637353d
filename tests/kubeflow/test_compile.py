"""The compiled pipeline: what KFP reads in it, and that it changes only when that is meant."""

import difflib
import importlib.metadata
import re

import kfp.client.client
import kfp.components
import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.dag import Parameters
from tests.kubeflow.regenerate import GOLDEN, compiled


@pytest.fixture(scope="module")
def text():
    return compiled()


@pytest.fixture(scope="module")
def spec(text):
    return json_format.ParseDict(next(yaml.safe_load_all(text)), pipeline_spec_pb2.PipelineSpec())


def container(spec, task):
    label = spec.components[spec.root.dag.tasks[task].component_ref.name].executor_label
    config = json_format.ParseDict(
        json_format.MessageToDict(spec.deployment_spec), pipeline_spec_pb2.PipelineDeploymentConfig()
    )
    return config.executors[label].container


def test_it_is_as_committed(text):
    committed = GOLDEN.read_text().splitlines()
    diff = difflib.unified_diff(committed, text.splitlines(), "committed", "compiled", lineterm="")
    assert not (lines := list(diff)), "\n".join(["If this is meant: make golden", *lines[:80]])


def test_kfp_loads_it(text, tmp_path):
    component = kfp.components.load_component_from_text(text)
    assert set(component.component_spec.inputs) == set(Parameters._fields)
    (tmp_path / "pipeline.yaml").write_text(text)
    document = kfp.client.client._extract_pipeline_yaml(str(tmp_path / "pipeline.yaml"))
    assert document.pipeline_spec.schema_version == "2.1.0", "the only one that KFP's API server takes"
    assert document.pipeline_spec.pipeline_info.name == "recommender"
    executors = document.platform_spec.platforms["kubernetes"].deployment_spec.executors
    assert set(executors) == set(document.pipeline_spec.deployment_spec["executors"])
    (secret,) = executors["Pusher_executor"]["secretAsEnv"]
    assert secret["secretName"] == "recommender-store"
    assert dict(secret["keyToEnv"][0]) == {"secretKey": "AWS_ACCESS_KEY_ID", "envVar": "AWS_ACCESS_KEY_ID"}


def test_every_run_time_parameter_has_type_default_and_description(spec):
    declared = spec.root.input_definitions.parameters
    kinds = pipeline_spec_pb2.ParameterType
    assert {name: one.parameter_type for name, one in declared.items()} == {
        name: kinds.NUMBER_INTEGER if name.endswith(("_epochs", "window")) else kinds.STRING
        for name in Parameters._fields
    }
    assert all(one.description for one in declared.values())
    defaults = {name: json_format.MessageToDict(one.default_value) for name, one in declared.items()}
    assert defaults == {
        "data": "s3://shop/{span}",
        "span": "latest",
        "window": 1,
        "push_destination": "s3://models/recommender",
        "rejected_rows": "",
        "retrieval_epochs": 6,
        "ranking_epochs": 5,
        "thresholds": "{}",
    }


def test_steps_have_resources_retries_and_caching(spec):
    tasks = spec.root.dag.tasks
    assert len(tasks) == 18
    assert all(task.retry_policy.max_retry_count == 3 for task in tasks.values())
    assert all(task.retry_policy.backoff_duration.seconds == 30 for task in tasks.values())
    assert all(task.retry_policy.backoff_max_duration.seconds == 3600 for task in tasks.values())
    never = {name for name, task in tasks.items() if not task.caching_options.enable_cache}
    assert never == {"InteractionGen", "ItemGen", "LiveModel", "Pusher"}
    found = {name: container(spec, name).resources for name in tasks}
    assert (found["Evaluator"].cpu_limit, found["Evaluator"].memory_limit) == (4, 16)
    assert (found["Pusher"].cpu_limit, found["Pusher"].memory_limit) == (1, 4)
    gpus = {name: (one.accelerator.type, one.accelerator.count) for name, one in found.items() if one.accelerator.count}
    assert gpus == {"Trainer-retrieval": ("nvidia.com/gpu", 1), "Trainer-ranking": ("nvidia.com/gpu", 1)}


def test_every_step_runs_our_entry_point_in_our_image_with_beams_arguments_where_it_uses_beam(spec):
    for name in spec.root.dag.tasks:
        step = container(spec, name)
        assert step.image == "registry.example/recommender-pipeline:1"
        assert list(step.command) == ["python", "-m", "kubeflow.entrypoint"]
        with_beam = {"InteractionGen", "ItemGen", "StatisticsGen", "StatisticsGen-items", "Transform", "Evaluator"}
        assert ("--direct_running_mode=in_memory" in step.args) == (name in with_beam), name


def test_kfps_page_knows_figures_and_report_by_their_types(spec):
    outputs = spec.components["Reporter"].output_definitions.artifacts
    titles = {name: (one.artifact_type.schema_title, one.artifact_type.schema_version) for name, one in outputs.items()}
    assert titles == {"metrics": ("system.Metrics", "0.0.1"), "report": ("system.HTML", "0.0.1")}


def test_nothing_is_in_it_that_open_source_kfp_lacks(spec, text):
    for name in spec.root.dag.tasks:
        assert re.fullmatch(r"[A-Za-z0-9][-A-Za-z0-9]*", name), "as Argo's names of tasks"
        assert not container(spec, name).HasField("lifecycle"), "a driver"
    assert "resolver:" not in text and "importer:" not in text
    assert not re.search(r"['\" ]/(tmp|home|root|usr|work)/", text), "a local path"


def test_no_installed_distribution_has_a_package_of_the_same_name():
    others = {
        one.metadata["Name"]
        for one in importlib.metadata.distributions()
        for file in one.files or ()
        if str(file).startswith("kubeflow/")
    }
    assert others <= {"recommender-pipeline"}
