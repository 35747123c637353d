"""What open-source KFP hands to a step, in the forms that are reported to break TFX's own entry point."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as tfx_entrypoint
from tfx.types import standard_artifacts

from components.artifacts import DataSummary
from kubeflow.entrypoint import normalise
from models.errors import UserError
from tests.e2e.conftest import ROOT

TYPES = {
    "inputs": {"examples": "tfx.types.standard_artifacts.Examples"},
    "outputs": {"summary": "components.artifacts.DataSummary"},
}
# As ExecutorInput has it after the artifact went through KFP's metadata.
FORMS = {
    "system.Artifact": {"type": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}},
    "system.Dataset": {"type": {"schemaTitle": "system.Dataset", "schemaVersion": "0.0.1"}},
    "system.* inside a schema": {"type": {"instanceSchema": "title: system.Artifact\ntype: object\n"}},
    "an empty schema": {"type": {"instanceSchema": ""}},
    "an empty type": {"type": {}},
    "no type": {},
}


def executor_input(form, **outputs):
    example = {"name": "7", "uri": "/examples", "metadata": {"split_names": '["train"]', "span": 3.0}}
    summary = {"uri": "/summary", "type": {"instanceSchema": "title: recommender.DataSummary\ntype: object\n"}}
    return {
        "inputs": {"parameterValues": {"epochs": 3.0}, "artifacts": {"examples": {"artifacts": [example | form]}}},
        "outputs": {
            "artifacts": {"summary": {"artifacts": [summary]}} | outputs,
            "outputFile": "/tmp/kfp_outputs/output_metadata.json",
        },
    }


def parsed(given, side):
    """As TFX parses it."""
    message = json_format.ParseDict(given, pipeline_spec_pb2.ExecutorInput())
    return tfx_entrypoint.parse_raw_artifact_dict(getattr(message, side).artifacts, {})


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_tfx_alone_fails_on_the_type_and_ours_is_the_declared_one(form):
    given = executor_input(form)
    with pytest.raises(Exception):  # noqa: B017  A different one for each form.
        parsed(given, "inputs")
    (found,) = parsed(normalise(given, TYPES), "inputs")["examples"]
    assert type(found) is standard_artifacts.Examples
    assert (found.uri, found.split_names, found.span) == ("/examples", '["train"]', 3)


def test_a_type_of_our_own_is_found_though_its_title_is_no_import_path():
    given = executor_input({})
    with pytest.raises(Exception):  # noqa: B017
        parsed(given, "outputs")
    (found,) = parsed(normalise(given, TYPES), "outputs")["summary"]
    assert type(found) is DataSummary


def test_outputs_that_the_backend_adds_are_left_out():
    logs = {"artifacts": [{"uri": "/logs", "type": {"schemaTitle": "system.Artifact"}}]}
    normalised = normalise(executor_input({}, **{"executor-logs": logs}), TYPES)
    assert list(normalised["outputs"]["artifacts"]) == ["summary"]
    assert normalised["outputs"]["outputFile"] == "/tmp/kfp_outputs/output_metadata.json"
    assert normalised["inputs"]["parameterValues"] == {"epochs": 3.0}


def test_a_pipeline_root_that_only_kfp_can_read_is_refused():
    given = executor_input({})
    given["inputs"]["artifacts"]["examples"]["artifacts"][0]["uri"] = "minio://mlpipeline/x"
    with pytest.raises(UserError, match=r"minio://mlpipeline/x.*s3:// or gs://"):
        normalise(given, TYPES)


CRASH = "atexit.register(ctypes.string_at, 0)"  # Reads address 0 as the interpreter ends.
BODIES = {
    "crashes_at_exit": f"{CRASH}; print('worked')",
    "meets_wrong_input": "raise UserError('ratings.csv is empty [while running Read]')",
    "fails": "raise KeyError('lost')",
}
STEPS = """
import atexit, ctypes
from tfx.dsl.components.base import base_executor
from models.errors import UserError
""" + "".join(
    f"""
class {name}(base_executor.BaseExecutor):
    def Do(self, inputs, outputs, properties):
        {body}
"""
    for name, body in BODIES.items()
)
# Makes the imports once, and forks a process for each step: its arguments run the entry point as `python -m` does.
FORKS = """
import json, os, runpy, sys
import tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor

statuses = {}
for name, arguments in json.loads(sys.argv[1]).items():
    child = os.fork()
    if not child:
        for descriptor, kind in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{name}.{kind}", os.O_CREAT | os.O_WRONLY), descriptor)
        sys.argv = ["entrypoint", *arguments]
        runpy.run_module("kubeflow.entrypoint", run_name="__main__", alter_sys=True)
        sys.exit(0)
    statuses[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(statuses))
"""


class Ended(NamedTuple):
    status: int
    printed: str
    errors: str
    has_output_file: bool


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """How the entry point ended with each executor."""
    directory = tmp_path_factory.mktemp("steps")
    (directory / "a_step.py").write_text(STEPS)
    output_files = {name: directory / name / "output_metadata.json" for name in BODIES}
    commands = {}
    for name, output_file in output_files.items():
        given = {"inputs": {}, "outputs": {"artifacts": {}, "outputFile": str(output_file)}}
        commands[name] = [f"--executor_class_path=a_step.{name}", "--artifact_types", '{"inputs": {}, "outputs": {}}']
        commands[name] += ["--json_serialized_invocation_args", json.dumps(given)]
        commands[name] += ["--json_serialized_inputs_spec_args", "{}"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{directory}"}
    command = [sys.executable, "-c", "import kubeflow\n" + FORKS, json.dumps(commands)]
    done = subprocess.run(command, cwd=directory, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return {
        name: Ended(
            status,
            (directory / f"{name}.out").read_text(),
            (directory / f"{name}.err").read_text(),
            output_files[name].exists(),
        )
        for name, status in json.loads(done.stdout.splitlines()[-1]).items()
    }


def test_a_crash_in_a_destructor_at_exit_does_not_fail_a_step_that_has_succeeded(ended):
    alone = subprocess.run([sys.executable, "-c", f"import atexit, ctypes; {CRASH}"])
    assert alone.returncode < 0
    step = ended["crashes_at_exit"]
    assert step.status == 0, step.errors
    assert "worked" in step.printed and step.has_output_file


def test_foreseen_wrong_input_is_one_line(ended):
    step = ended["meets_wrong_input"]
    assert step.status == 2
    assert step.errors.strip().splitlines()[-1] == "error: ratings.csv is empty"
    assert "Traceback" not in step.errors and not step.has_output_file


def test_an_image_without_the_package_says_so():
    done = subprocess.run([sys.executable, "-I", "-S", "-m", "kubeflow.entrypoint"], text=True, capture_output=True)
    assert done.returncode == 1
    assert "No module named kubeflow" in done.stderr.replace("'", "")


def test_any_other_error_fails_the_step_with_its_traceback(ended):
    step = ended["fails"]
    assert step.status == 1
    assert "KeyError: 'lost'" in step.errors and not step.has_output_file
