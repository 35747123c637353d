"""What every step runs: TFX's executor for KFP v2, with what open-source KFP does differently put right.

`python -m kubeflow.entrypoint --executor_class_path … --json_serialized_invocation_args '{{$}}' …`, as compiled.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import sys
import traceback
from typing import Any

from models.errors import UserError
from pipeline.collector import nothing_collected

_FAILED, _WRONG_INPUT = 1, 2


def run(arguments: list[str]) -> None:
    """Runs a component's executor, and writes its outputs and at last the file that KFP reads.

    Args:
      arguments: as compiled; those that are not known are Beam's.

    Raises:
      UserError: wrong input that the executor foresaw.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--executor_class_path", required=True)
    parser.add_argument("--json_serialized_invocation_args", required=True)
    parser.add_argument("--json_serialized_inputs_spec_args", required=True)
    parser.add_argument("--artifact_types", type=json.loads, required=True)
    options, beam_args = parser.parse_known_args(arguments)
    executor_input = normalise(json.loads(options.json_serialized_invocation_args), options.artifact_types)
    options.json_serialized_invocation_args = json.dumps(executor_input)

    with nothing_collected():
        from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

        from components.storage import enable_s3
        from kubeflow import storage

        importlib.import_module(options.executor_class_path.rpartition(".")[0])

    if any("s3://" in argument for argument in arguments):
        enable_s3()
    outputs = _uris(executor_input["outputs"])
    storage.clear(outputs)
    kubeflow_v2_run_executor._run_executor(options, beam_args)
    storage.remove_markers(outputs)


def normalise(executor_input: dict[str, Any], types: dict[str, dict[str, str]]) -> dict[str, Any]:
    """KFP's ExecutorInput as TFX's executor needs it.

    Open-source KFP hands artifacts over as `system.*`, with an empty schema, or without a type, and may add outputs of
    its own, such as logs. Each artifact gets the type that the component declares; outputs that it does not declare are
    left out.

    Args:
      executor_input: the JSON of ExecutorInput.
      types: `inputs` and `outputs`: import paths of TFX's artifact classes by key.
    """
    normalised = dict(executor_input)
    for side in ("inputs", "outputs"):
        declared = types[side]
        found = executor_input.get(side, {}).get("artifacts", {})
        artifacts = {
            key: {"artifacts": [one | {"type": {"schemaTitle": path}} for one in found[key]["artifacts"]]}
            for key, path in declared.items()
            if key in found
        }
        normalised[side] = executor_input.get(side, {}) | {"artifacts": artifacts}
    for uri in [*_uris(normalised["inputs"]), *_uris(normalised["outputs"])]:
        if uri.startswith("minio://"):
            raise UserError(
                f"pipeline root {uri}: only KFP can read minio://. Give an s3:// or gs:// place to `recommender "
                "kubeflow submit --pipeline-root`, or as KFP's defaultPipelineRoot"
            )
    return normalised


def _uris(side: dict[str, Any]) -> list[str]:
    return [artifact["uri"] for group in side["artifacts"].values() for artifact in group["artifacts"]]


def main() -> None:
    """Entry point. A foreseen error is one line; in any case the process ends without running C++ destructors.

    At the interpreter's exit those of TFX's libraries can crash after the outputs were written, which would make a step
    fail that has succeeded.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    status = 0
    try:
        run(sys.argv[1:])
    except UserError as error:
        print(f"error: {str(error).partition(' [while running')[0]}", file=sys.stderr)  # Beam adds its stage's name.
        status = _WRONG_INPUT
    except BaseException as error:
        traceback.print_exc()
        status = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else _FAILED
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
