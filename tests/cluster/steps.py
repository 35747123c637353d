"""The steps of a compiled pipeline as pods, as Kubeflow Pipelines makes them."""

from __future__ import annotations

import threading
from typing import Any

from tests.cluster.kube import get, image, kubectl
from tests.containers.steps import STEP_SECONDS, WRITABLE
from tests.kubeflow.backend import Pod
from tests.serving.conftest import wait_for

_CONFINED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


class StepPods:
    """Runs each step in a pod of its own, with the account, the Secret and the ConfigMap of the overlay."""

    def run(self, name: str, pod: Pod) -> int:
        """Runs a task's pod to its end; returns the step's exit status."""
        made = self._start(name, pod)
        wait_for(lambda: self._state(made).get("terminated"), seconds=STEP_SECONDS)
        pod.log.write_text(kubectl("logs", made, "--container=step").stdout)
        status = self._state(made)["terminated"]["exitCode"]
        if status == 0:
            wait_for(lambda: get("pod", made)["status"]["phase"] == "Succeeded")
            outputs = kubectl("logs", made, "--container=launcher").stdout
            (pod.home / "output_metadata.json").write_text(outputs)
        kubectl("delete", "pod", made, "--wait=false")
        return status

    def kill(self, name: str, pod: Pod, when: threading.Event) -> None:
        """Starts a task's pod and deletes it once `when` is set."""
        made = self._start(name, pod)
        wait_for(lambda: when.is_set() or self._state(made).get("terminated"), seconds=STEP_SECONDS)
        assert "running" in self._state(made), kubectl("logs", made, "--container=step").stdout
        kubectl("delete", "pod", made, "--grace-period=0", "--force")

    def _start(self, name: str, pod: Pod) -> str:
        made = f"step-{name.lower()}"
        kubectl("delete", "pod", made, "--ignore-not-found")
        kubectl("apply", "--validate=strict", "--filename=-", given=_manifest(made, pod))
        return made

    def _state(self, made: str) -> dict[str, Any]:
        statuses = get("pod", made)["status"].get("initContainerStatuses", [])
        return statuses[0]["state"] if statuses else {}


def _manifest(made: str, pod: Pod) -> dict[str, Any]:
    """A pod that runs the step, and then says what is in its output file, which KFP's launcher would read."""
    volumes = {f"writable-{number}": path for number, path in enumerate((*WRITABLE, str(pod.home)))}
    common = {
        "image": image("pipeline"),
        "securityContext": _CONFINED,
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in volumes.items()],
    }
    step = common | {
        "name": "step",
        "command": pod.command[:1],
        "args": [argument.replace("$(", "$$(") for argument in pod.command[1:]],
        "env": [_variable(name) for name in pod.environment],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": str(pod.cpus), "memory": f"{pod.memory_gb}G"},
        },
    }
    launcher = common | {"name": "launcher", "command": ["cat", str(pod.home / "output_metadata.json")]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": made},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "recommender-pipeline",
            "initContainers": [step],
            "containers": [launcher],
            "volumes": [{"name": name, "emptyDir": {}} for name in volumes],
        },
    }


def _variable(name: str) -> dict[str, Any]:
    kind = "secretKeyRef" if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") else "configMapKeyRef"
    return {"name": name, "valueFrom": {kind: {"name": "recommender-store", "key": name}}}
