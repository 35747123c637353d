"""What has to run again after an edit: components whose parameters, with the code's digests, are not as before."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from pipeline.config import load_config
from pipeline.fingerprints import model_origin
from pipeline.steps import TRAINERS, Step
from tests.e2e.conftest import ROOT

PACKAGES = ("benchmarks", "components", "kubeflow", "models", "pipeline", "serving")
# Run in a copy of the sources: prints for every file of its arguments which components an edit of it changes.
PROGRAM = """
import json, sys
from pathlib import Path

from pipeline import dag, fingerprints
from pipeline.config import load_config

assert Path(dag.__file__) == Path.cwd() / "pipeline" / "dag.py"
config = load_config("movielens-csv")


def parameters():
    fingerprints._imports.cache_clear()
    pipeline = dag.create_pipeline(
        config=config,
        parameters=dag.Parameters("/data", "latest", 1, "/models", "", 1, 1, "{}"),
        data_fingerprint="data",
        features=config.features(with_users=False),
        origin=fingerprints.model_origin(config, "data"),
        live_as_of="",
        lost_versions="",
        pipeline_name="recommender",
        pipeline_root="/runs",
        beam_pipeline_args=[],
    )
    return {component.id: repr(sorted(component.exec_properties.items())) for component in pipeline.components}


before = parameters()
changed = {}
for name in sys.argv[1:]:
    content = Path(name).read_bytes()
    Path(name).write_bytes(content + b"\\n")
    after = parameters()
    changed[name] = [step for step in before if after[step] != before[step]]
    Path(name).write_bytes(content)
assert parameters() == before
print(json.dumps(changed))
"""
MODEL = {Step.RECOMMENDER_BUILDER, Step.LIVE_MODEL}  # They have the model's origin.
EDITS = {
    "docs/serving.md": set(),
    "pipeline/cli.py": set(),
    "pipeline/summary.py": set(),
    "components/reporter/charts.py": {Step.REPORTER},
    "pipeline/local/dag_runner.py": set(),
    "kubeflow/compile.py": set(),
    "benchmarks/__init__.py": set(),
    "serving/server/rest.py": {Step.INFRA_VALIDATOR},
    "components/infra_validator/checks.py": {Step.INFRA_VALIDATOR},
    "components/evaluator/ranks.py": {Step.EVALUATOR},
    "components/item_gen/executor.py": {Step.ITEM_GEN} | MODEL,
    "components/interaction_gen/timelines.py": {Step.INTERACTION_GEN} | MODEL,
    "components/transform/source.py": {Step.TRANSFORM} | MODEL,
    "components/recommender_builder/index.py": MODEL,
    "models/ranking.py": {Step.RANKING_TRAINER} | MODEL,
    "models/retrieval.py": {Step.RETRIEVAL_TRAINER} | MODEL,
    "models/queries.py": {*TRAINERS, Step.EVALUATOR, Step.INFRA_VALIDATOR} | MODEL,
    "models/layers.py": {*TRAINERS} | MODEL,
}


def origin(*overrides, data="data"):
    return model_origin(load_config("movielens-csv", list(overrides)), data)


def test_a_models_origin_is_the_same_for_the_same_data_and_configuration():
    assert origin() == origin()


@pytest.mark.parametrize(
    "override",
    [
        "retrieval.epochs=7",
        "ranking.layers=[8]",
        "ranking.seed=1",
        "transform.timestamp_buckets=3",
        "split.kind=random",
        "index.recommendations=5",
        "data.max_rejected_share=0.5",
        "repeats=true",
    ],
)
def test_a_models_origin_changes_with_what_makes_the_model(override):
    assert origin(override) != origin()


def test_a_models_origin_changes_with_the_data():
    assert origin(data="other data") != origin()


@pytest.mark.parametrize(
    "override",
    ["evaluation.thresholds.rmse.at_most=2", "infra_validator.users=3", "kubeflow.gpus=1", "kubeflow.image=other:1"],
)
def test_a_models_origin_does_not_change_with_what_only_looks_at_the_model_or_runs_it(override):
    assert origin(override) == origin()


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The components that an edit changes, by the edited file."""
    copy = tmp_path_factory.mktemp("sources")
    for package in (*PACKAGES, "docs"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    environment = os.environ | {"PYTHONPATH": str(copy), "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *EDITS], cwd=copy, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("file", EDITS)
def test_an_edit_changes_the_components_that_import_the_module(changed, file):
    assert set(changed[file]) == {step.value for step in EDITS[file]}
