"""Executes a compiled pipeline as the backend of Kubeflow Pipelines does, each step as a process of its own.

Types, metadata and extra outputs are handed over as open-source KFP 2.x does; caching is off.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from components import storage


class StepFailed(Exception):
    """A step's exit status and what it printed."""

    def __init__(self, task: str, status: int, log: str):
        super().__init__(f"{task} ended with {status}:\n{log[-5000:]}")
        self.task, self.status, self.log = task, status, log


class Backend:
    """One run of a pipeline.

    Args:
      spec: the file with the compiled pipeline, whose Secrets and ConfigMaps have what this process's environment has.
      root: the pipeline root.
      scratch: a directory for the pods.
      parameters: the run's parameters; others have their defaults.
    """

    def __init__(self, spec: Path, root: str, scratch: Path, **parameters: Any):
        self._spec, self._platform = yaml.safe_load_all(spec.read_text())
        self._root = root
        self._scratch = scratch
        declared = self._spec["root"]["inputDefinitions"]["parameters"]
        unknown = parameters.keys() - declared.keys()
        assert not unknown, f"no such parameters: {unknown}"
        self._parameters = {name: one["defaultValue"] for name, one in declared.items() if "defaultValue" in one}
        self._parameters |= parameters
        assert self._parameters.keys() == declared.keys(), "a parameter without a default was not given"
        # How an input's type comes back from KFP's metadata: the six breakages' first three.
        self._types = itertools.cycle(
            [
                {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"},
                {"instanceSchema": ""},
                None,
                {"schemaTitle": "system.Model", "schemaVersion": "0.0.1"},
            ]
        )
        self.outputs: dict[str, dict[str, dict[str, Any]]] = {}
        self.seconds: dict[str, float] = {}

    @property
    def order(self) -> list[str]:
        """Tasks, each after those that it depends on."""
        tasks, order = self._spec["root"]["dag"]["tasks"], []

        def visit(name: str) -> None:
            inputs = tasks[name].get("inputs", {}).get("artifacts", {}).values()
            before = {one["taskOutputArtifact"]["producerTask"] for one in inputs}
            for other in sorted(before | set(tasks[name].get("dependentTasks", []))):
                visit(other)
            if name not in order:
                order.append(name)

        for name in sorted(tasks):
            visit(name)
        return order

    def run(self, until: str | None = None) -> None:
        """Runs the tasks that have not run yet, up to `until` but without it."""
        for name in self.order:
            if name == until:
                return
            if name not in self.outputs:
                self.step(name)

    def step(self, name: str) -> None:
        """Runs one task. Raises StepFailed."""
        executor_input, command = self._prepare(name)
        started = time.monotonic()
        with self._start(name, command) as process:
            log, _ = process.communicate(timeout=600)
        self.seconds[name] = round(time.monotonic() - started, 1)
        (self._scratch / f"{name}.log").write_text(log)
        if process.returncode:
            raise StepFailed(name, process.returncode, log)
        self._collect(name, executor_input)

    def kill(self, name: str, when: str) -> Path:
        """Starts a task and kills it as it prints `when`; returns where its output file would be."""
        executor_input, command = self._prepare(name)
        with self._start(name, command) as process:
            for line in process.stdout:
                if when in line:
                    break
            os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        return Path(executor_input["outputs"]["outputFile"])

    def json(self, task: str, key: str, file: str) -> Any:
        """What a file of an artifact holds."""
        with storage.open_file(f"{self.outputs[task][key]['uri']}/{file}") as opened:
            return json.load(opened)

    def exists(self, task: str, key: str, file: str) -> bool:
        """Whether an artifact has a file."""
        return bool(storage.glob(f"{self.outputs[task][key]['uri']}/{file}"))

    def _prepare(self, name: str) -> tuple[dict[str, Any], list[str]]:
        task = self._spec["root"]["dag"]["tasks"][name]
        component = self._spec["components"][task["componentRef"]["name"]]
        container = self._spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        inputs = task.get("inputs", {})
        outputs = component.get("outputDefinitions", {}).get("artifacts", {})
        executor_input = {
            "inputs": {
                "parameterValues": {key: self._parameter(one) for key, one in inputs.get("parameters", {}).items()},
                "artifacts": {
                    key: {"artifacts": [self._input(**one["taskOutputArtifact"])]}
                    for key, one in inputs.get("artifacts", {}).items()
                },
            },
            "outputs": {
                "artifacts": {
                    key: {
                        "artifacts": [
                            {
                                "uri": f"{self._root}/{name}/{key}",
                                "type": one["artifactType"],
                                "metadata": one.get("metadata", {}),
                            }
                        ]
                    }
                    for key, one in [*outputs.items(), ("executor-logs", {"artifactType": _LOGS})]
                },
                "outputFile": str(self._scratch / name / "output_metadata.json"),
            },
        }
        text = json.dumps(executor_input)
        command = [*container["command"], *(argument.replace("{{$}}", text) for argument in container["args"])]
        return executor_input, command

    def _parameter(self, given: dict[str, Any]) -> Any:
        if "runtimeValue" in given:
            return given["runtimeValue"]["constant"]
        return self._parameters[given["componentInputParameter"]]

    def _input(self, producerTask: str, outputArtifactKey: str) -> dict[str, Any]:
        made = self.outputs[producerTask][outputArtifactKey]
        metadata = made.get("metadata", {}) | {"display_name": outputArtifactKey}
        kind = next(self._types)
        artifact = {"name": f"{producerTask}-{outputArtifactKey}", "uri": made["uri"], "metadata": metadata}
        return artifact if kind is None else artifact | {"type": kind}

    def _start(self, name: str, command: list[str]) -> subprocess.Popen:
        """As in the container: nothing in the environment but what the image has, and what the platform adds."""
        home = self._scratch / name
        home.mkdir(exist_ok=True)
        environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(home)}
        executor = self._spec["components"][self._spec["root"]["dag"]["tasks"][name]["componentRef"]["name"]]
        given = self._platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][executor["executorLabel"]]
        for source in (*given["secretAsEnv"], *given["configMapAsEnv"]):
            environment |= {one["envVar"]: os.environ[one["envVar"]] for one in source["keyToEnv"]}
        return subprocess.Popen(
            command,
            cwd=home,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _collect(self, name: str, executor_input: dict[str, Any]) -> None:
        """What the launcher reads from the output file, merged over what it had provided."""
        outputs = json.loads(Path(executor_input["outputs"]["outputFile"]).read_text())["artifacts"]
        self.outputs[name] = {
            key: group["artifacts"][0] | outputs.get(key, {"artifacts": [{}]})["artifacts"][0]
            for key, group in executor_input["outputs"]["artifacts"].items()
        }


_LOGS = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
