"""What open-source KFP hands to a step, in the forms that are reported to break TFX's own entry point."""

import json
import subprocess
import sys
import textwrap

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_entrypoint_utils as tfx_entrypoint
from tfx.types import standard_artifacts

from components.artifacts import DataSummary
from kubeflow.entrypoint import normalise
from models.errors import UserError

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


def step(tmp_path, body):
    """Runs the entry point in a process, with an executor of one method."""
    (tmp_path / "a_step.py").write_text(
        "import ctypes, atexit\n"
        "from tfx.dsl.components.base import base_executor\n"
        "from models.errors import UserError\n\n\n"
        "class Executor(base_executor.BaseExecutor):\n"
        "    def Do(self, inputs, outputs, properties):\n" + textwrap.indent(textwrap.dedent(body), " " * 8)
    )
    output_file = tmp_path / "out" / "output_metadata.json"
    given = {"inputs": {}, "outputs": {"artifacts": {}, "outputFile": str(output_file)}}
    command = [sys.executable, "-m", "kubeflow.entrypoint", "--executor_class_path=a_step.Executor"]
    command += ["--json_serialized_invocation_args", json.dumps(given), "--json_serialized_inputs_spec_args", "{}"]
    command += ["--artifact_types", '{"inputs": {}, "outputs": {}}']
    return subprocess.run(command, cwd=tmp_path, text=True, capture_output=True), output_file


def test_a_crash_in_a_destructor_at_exit_does_not_fail_a_step_that_has_succeeded(tmp_path):
    crash = "atexit.register(ctypes.string_at, 0)"  # Reads address 0 as the interpreter ends.
    alone = subprocess.run([sys.executable, "-c", f"import atexit, ctypes; {crash}"])
    assert alone.returncode < 0
    done, output_file = step(tmp_path, f"{crash}\nprint('worked')\n")
    assert done.returncode == 0, done.stderr
    assert "worked" in done.stdout and output_file.exists()


def test_foreseen_wrong_input_is_one_line(tmp_path):
    done, output_file = step(tmp_path, "raise UserError('ratings.csv is empty [while running Read]')\n")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == "error: ratings.csv is empty"
    assert "Traceback" not in done.stderr and not output_file.exists()


def test_an_image_without_the_package_says_so():
    done = subprocess.run([sys.executable, "-I", "-S", "-m", "kubeflow.entrypoint"], text=True, capture_output=True)
    assert done.returncode == 1
    assert "No module named kubeflow" in done.stderr.replace("'", "")


def test_any_other_error_fails_the_step_with_its_traceback(tmp_path):
    done, output_file = step(tmp_path, "raise KeyError('lost')\n")
    assert done.returncode == 1
    assert "KeyError: 'lost'" in done.stderr and not output_file.exists()
