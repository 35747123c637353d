"""The steps of a compiled pipeline in containers, as Kubeflow Pipelines has them in pods."""

from __future__ import annotations

import subprocess
import threading

from tests.containers.engine import call, image, run_command
from tests.kubeflow.backend import Pod
from tests.serving.conftest import wait_for

STEP_SECONDS = 1200  # What a test waits at most for a step, which imports TFX on a machine that may be busy.
# What KFP's launcher and Argo's executor write beside the step, which gets volumes there.
WRITABLE = ("/kfp-launcher", "/gcs", "/s3", "/minio", "/.local", "/.cache", "/.config", "/var/run/argo")
# As a pod of KFP: the image's user, no rights, these volumes, this machine's network.
_OPTIONS = (
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--network=host",
    *(f"--tmpfs={path}:mode=1777" for path in WRITABLE),
)


class StepContainers:
    """Runs each pod in the image of the steps."""

    def run(self, name: str, pod: Pod) -> int:
        """Runs a task's pod to its end; returns its exit status."""
        with pod.log.open("w") as log:
            return subprocess.run(self._command(pod), stdout=log, stderr=subprocess.STDOUT).returncode

    def kill(self, name: str, pod: Pod, when: threading.Event) -> None:
        """Runs a task's pod and kills it once `when` is set."""
        container = f"killed-{name.lower()}"
        with pod.log.open("w") as log:
            process = subprocess.Popen(self._command(pod, f"--name={container}"), stdout=log, stderr=subprocess.STDOUT)
            try:
                wait_for(lambda: when.is_set() or process.poll() is not None, seconds=STEP_SECONDS)
                assert process.poll() is None, pod.log.read_text()
            finally:
                call("kill", "--signal=KILL", container, check=False)
            assert process.wait() == 137

    def _command(self, pod: Pod, *options: str) -> list[str]:
        pod.home.chmod(0o777)  # The output file is in it, and the image's user is not this one.
        limit = f"--memory={int(pod.memory_gb * 1e9)}"
        environment = [f"--env={name}={value}" for name, value in pod.environment.items()]
        volume = f"--volume={pod.home}:{pod.home}"
        given = (*_OPTIONS, *options, limit, volume, *environment)
        return run_command(image("pipeline"), *pod.command, options=given)
