"""Executes a compiled pipeline as the backend of Kubeflow Pipelines does, each step as a process of its own.

Types, metadata and extra outputs are handed over as open-source KFP 2.x does; caching is off.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection
from concurrent import futures
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import yaml

from components import storage
from pipeline.local import processes
from tests.kubeflow.argo import ERROR, FAILED, ON_ERROR, Attempt, Retries


class StepFailed(Exception):
    """A step's exit status, what it printed, and why it is not tried again."""

    def __init__(self, task: str, status: int, log: str, why: str):
        super().__init__(f"{task} ended with {status} ({why}):\n{log[-5000:]}")
        self.task, self.status, self.log = task, status, log


class NotRetried(Exception):
    """Why Argo does not try a task again whose pod is gone."""


class Pod(NamedTuple):
    """What a step is started with, and the file of what it prints.

    The environment is what the platform gives; a process gets what an image would have beside it.
    """

    command: list[str]
    environment: dict[str, str]
    home: Path
    log: Path
    memory_gb: float
    cpus: float

    def fork(self, name: str) -> BaseProcess:
        """Starts the process from one that has made the imports."""
        return processes.start(
            name, runpy.run_path, str(_POD), {"pod": (self.command, self.of_process(), self.home, self.log)}
        )

    def of_process(self) -> dict[str, str]:
        """The environment of a process: as in the container, nothing but what the image has and the platform adds."""
        image = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(self.home)}
        image["PYTHONPATH"] = str(_ROOT)  # The sources beside this file, whichever are installed.
        return image | self.environment


class Containers(Protocol):
    """Runs pods in containers."""

    def run(self, name: str, pod: Pod) -> int:
        """Runs a task's pod to its end; returns its exit status."""

    def kill(self, name: str, pod: Pod, when: threading.Event) -> None:
        """Runs a task's pod and kills it once `when` is set."""


class Backend:
    """One run of a pipeline.

    A step is forked from a process that has made the imports of TFX, which take longer than most steps do on small
    data. Those in `fresh` are started with the compiled command, as in a container.

    Tasks are tried again as Argo does it with the retry policy that KFP 2.17 gives to its templates.

    Args:
      spec: the file with the compiled pipeline, whose Secrets and ConfigMaps have what this process's environment has.
      root: the pipeline root.
      scratch: a directory for the pods.
      fresh: tasks whose processes import everything themselves.
      containers: runs the steps in containers instead.
      parameters: the run's parameters; others have their defaults.
    """

    def __init__(
        self,
        spec: Path,
        root: str,
        scratch: Path,
        fresh: Collection[str] = (),
        containers: Containers | None = None,
        **parameters: Any,
    ):
        self._spec, self._platform = yaml.safe_load_all(spec.read_text())
        self._root = root
        self._scratch = scratch
        self._fresh = fresh
        self._containers = containers
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
        self.attempts: dict[str, list[Attempt]] = {}  # Those that failed, by task.

    def run(self, until: str | None = None) -> None:
        """Runs the tasks that have not run yet, each as soon as its inputs are there. Raises StepFailed.

        Args:
          until: a task that is not run, nor what comes after it.
        """
        left_out = {until} if until else set()
        while more := {name for name in self._tasks if self._upstream(name) & left_out} - left_out:
            left_out |= more
        skipped = left_out | self.outputs.keys()
        waiting = {name: self._upstream(name) for name in self._tasks if name not in skipped}
        running: dict[futures.Future, str] = {}
        with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            while waiting or running:
                for name in [name for name, upstream in waiting.items() if upstream <= self.outputs.keys()]:
                    del waiting[name]
                    running[pool.submit(self.step, name)] = name
                done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
                for future in done:
                    del running[future]
                    future.result()

    def step(self, name: str) -> None:
        """Runs one task, until an attempt succeeds. Raises StepFailed, or NotRetried where its pod was deleted."""
        if name in self.attempts:
            self._wait_for_retry(name, NotRetried)
        while True:
            executor_input, pod = self._prepare(name)
            started = time.monotonic()
            if self._containers:
                status = self._containers.run(name, pod)
            elif name in self._fresh:
                with pod.log.open("w") as log:
                    status = subprocess.run(
                        pod.command, cwd=pod.home, env=pod.of_process(), stdout=log, stderr=subprocess.STDOUT
                    ).returncode
            else:
                status = processes.exit_code(pod.fork(name))
            self.seconds[name] = round(time.monotonic() - started, 1)
            if not status:
                return self._collect(name, executor_input)
            self.attempts.setdefault(name, []).append(Attempt(FAILED, started, time.monotonic()))
            self._wait_for_retry(name, functools.partial(StepFailed, name, status, pod.log.read_text()))

    def delete(self, name: str, when: threading.Event) -> Path:
        """Starts a task and deletes its pod once `when` is set; returns where its output file would be.

        `step` and `run` make the next attempt.
        """
        executor_input, pod = self._prepare(name)
        started = time.monotonic()
        if self._containers:
            self._containers.kill(name, pod, when)
        else:
            process = pod.fork(name)
            while not when.wait(0.05):
                assert process.is_alive(), pod.log.read_text()
            process.kill()
            assert processes.exit_code(process) == -signal.SIGKILL
        self.attempts.setdefault(name, []).append(Attempt(ERROR, started, time.monotonic()))
        return Path(executor_input["outputs"]["outputFile"])

    def _wait_for_retry(self, name: str, error: Callable[[str], Exception]) -> None:
        """Sleeps until the next attempt of a task is due. Raises what `error` makes of why there is none."""
        wait = Retries.of(self._tasks[name], ON_ERROR).seconds_to_wait(self.attempts[name])
        if isinstance(wait, str):
            raise error(wait)
        time.sleep(wait)

    def json(self, task: str, key: str, file: str) -> Any:
        """What a file of an artifact holds."""
        with storage.open_file(f"{self.outputs[task][key]['uri']}/{file}") as opened:
            return json.load(opened)

    def exists(self, task: str, key: str, file: str) -> bool:
        """Whether an artifact has a file."""
        return bool(storage.glob(f"{self.outputs[task][key]['uri']}/{file}"))

    @property
    def _tasks(self) -> dict[str, Any]:
        return self._spec["root"]["dag"]["tasks"]

    def _upstream(self, name: str) -> set[str]:
        """Tasks that have to end before one can start."""
        inputs = self._tasks[name].get("inputs", {}).get("artifacts", {}).values()
        makers = {one["taskOutputArtifact"]["producerTask"] for one in inputs}
        return makers | set(self._tasks[name].get("dependentTasks", []))

    def _prepare(self, name: str) -> tuple[dict[str, Any], Pod]:
        """KFP's ExecutorInput for a task, and the pod that gets it."""
        task = self._tasks[name]
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
        home = self._scratch / name
        home.mkdir(exist_ok=True)
        given, limits = self._given(component["executorLabel"]), container["resources"]
        pod = Pod(command, given, home, home / "log", limits["memoryLimit"], limits["cpuLimit"])
        return executor_input, pod

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

    def _given(self, executor_label: str) -> dict[str, str]:
        """The environment that the platform gives."""
        given = self._platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][executor_label]
        sources = (*given["secretAsEnv"], *given["configMapAsEnv"])
        keys = [one["envVar"] for source in sources for one in source["keyToEnv"]]
        return {key: os.environ[key] for key in keys}

    def _collect(self, name: str, executor_input: dict[str, Any]) -> None:
        """What the launcher reads from the output file, merged over what it had provided."""
        outputs = json.loads(Path(executor_input["outputs"]["outputFile"]).read_text())["artifacts"]
        self.outputs[name] = {
            key: group["artifacts"][0] | outputs.get(key, {"artifacts": [{}]})["artifacts"][0]
            for key, group in executor_input["outputs"]["artifacts"].items()
        }


_ROOT = Path(__file__).parent.parent.parent
_POD = Path(__file__).with_name("pod.py")
_LOGS = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}
