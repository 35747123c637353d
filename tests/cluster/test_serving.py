"""The server with its mirror, as overlays/standalone has it: from an empty store through pushes and faults."""

import base64
import contextlib
import json
import subprocess
import time
from pathlib import Path

import pytest

from serving import archives
from tests.cluster.conftest import BUCKET
from tests.cluster.kube import KUBECTL, NAMESPACE, get, image, kubectl, kustomization
from tests.serving.conftest import export_shelf, wait_for

SOURCE = f"s3://{BUCKET}/models/recommender"
SELECTOR = "--selector=app.kubernetes.io/component=server"
_REQUESTS = 10_000
_CLIENT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "client", "labels": {"recommender-client": "true"}},
    "spec": {
        "automountServiceAccountToken": False,
        "containers": [
            {
                "name": "client",
                "image": image("server"),
                "command": ["sleep", "infinity"],
                "volumeMounts": [{"name": "load", "mountPath": "/load"}],
            }
        ],
        "volumes": [{"name": "load", "configMap": {"name": "load"}}],
    },
}


def push(directory, version):
    """Puts a version into the store."""
    if not (directory / "exported").exists():
        export_shelf(directory / "exported")
    archives.upload(str(directory / "exported"), SOURCE, version)


def pods():
    return [
        one["metadata"]["name"]
        for one in get("pods", SELECTOR)["items"]
        if not one["metadata"].get("deletionTimestamp")
    ]


def answers(path):
    """What each server says at a path below the model's; {} where it says nothing."""
    code = f"import requests; print(requests.get('http://127.0.0.1:8501/v1/models/recommender{path}').text)"
    command = ["--container=server", "--", "python", "-c", code]
    found = [kubectl("exec", pod, *command, check=False) for pod in pods()]
    return [json.loads(one.stdout) if one.returncode == 0 else {} for one in found]


def available():
    """The versions that each server can answer with."""
    states = [one.get("model_version_status", []) for one in answers("")]
    return [{int(one["version"]) for one in each if one["state"] == "AVAILABLE"} for each in states]


def labelled():
    """The version that each server's label `stable` is for."""
    return [int(one.get("model_spec", {}).get("version", 0)) for one in answers("/labels/stable/metadata")]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("serving")


@pytest.fixture(scope="module")
def ready(applied, directory, figures):
    """Both servers with the first version, which was pushed once they ran, and a pod for their clients."""
    kubectl("create", "configmap", "load", f"--from-file={Path(__file__).with_name('load.py')}")
    kubectl("apply", "--filename=-", given=_CLIENT)
    kubectl("wait", "--for=condition=Ready", "pod/client", "--timeout=120s")
    wait_for(lambda: _running("server") and _running("mirror"))
    conditions = [one["status"]["conditions"] for one in get("pods", SELECTOR)["items"]]
    assert not [one for found in conditions for one in found if one["type"] == "Ready" and one["status"] == "True"]
    push(directory, 1)
    pushed = time.monotonic()
    kubectl("wait", "--for=condition=Available", "deployment/recommender", "--timeout=60s")
    figures["seconds from the first push to a server that is ready"] = round(time.monotonic() - pushed, 1)
    kubectl("rollout", "status", "deployment/recommender", "--timeout=60s")


def _running(container):
    found = [one["status"].get("containerStatuses", []) for one in get("pods", SELECTOR)["items"]]
    states = [one["state"] for each in found for one in each if one["name"] == container]
    return len(states) == 2 and all("running" in state for state in states)


@contextlib.contextmanager
def load(figures, during_what):
    """Clients that ask while something happens; afterwards not one of at least 10,000 requests was lost."""
    inside = ("exec", "client", "--")
    kubectl(*inside, "sh", "-c", "rm -rf /dev/shm/load && mkdir /dev/shm/load")
    command = [KUBECTL, f"--namespace={NAMESPACE}", *inside, "python", "/load/load.py", "recommender", str(_REQUESTS)]
    with subprocess.Popen([*command, "/dev/shm/load"], text=True, stdout=subprocess.PIPE) as process:
        try:
            wait_for(lambda: kubectl(*inside, "test", "-e", "/dev/shm/load/begun", check=False).returncode == 0)
            yield
        finally:
            kubectl(*inside, "touch", "/dev/shm/load/stop")
            printed, _ = process.communicate()
    found = json.loads(printed)
    assert found["errors"] == []
    assert found["answers"].keys() == {"1,2"} and found["answers"]["1,2"] >= _REQUESTS
    figures[f"requests during {during_what}, all answered"] = found["answers"]["1,2"]


@pytest.mark.parametrize(
    ("resource", "components"),
    [
        ("serving", []),
        ("serving", ["production"]),
        ("serving", ["own-server", "require-avx2"]),
        ("kubeflow/manifests/overlays/minio", []),
        ("kubeflow/manifests/overlays/gcs", []),
    ],
)
def test_the_api_server_takes_them_strictly(cluster, tmp_path, resource, components):
    content = {"components": [f"serving/components/{name}" for name in components], "namespace": NAMESPACE}
    overlay = kustomization(tmp_path / "overlay", resources=[resource], **content)
    kubectl("apply", "--dry-run=server", "--validate=strict", "--kustomize", overlay)


@pytest.mark.parametrize("option", [["--rest-port=8501"], ["--grpc", "--port=8500"]])
def test_another_pod_gets_recommendations_by_the_services_name(ready, option):
    command = ["python", "-m", "serving", "predict", "ann", "--host=recommender", "--history=3", *option]
    lines = kubectl("exec", "client", "--", *command).stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["(1)", "(2)"]


def test_a_push_under_load_loses_no_request(ready, directory, figures):
    with load(figures, "a push"):
        push(directory, 2)
        wait_for(lambda: available() == [{2}, {2}])


def test_a_rolling_update_under_load_loses_no_request(ready, figures):
    with load(figures, "a rolling update"):
        kubectl("rollout", "restart", "deployment/recommender")
        kubectl("rollout", "status", "deployment/recommender", "--timeout=300s")


def test_a_server_that_is_killed_under_load_loses_no_request_and_is_replaced(ready, figures):
    with load(figures, "the loss of a server"):
        kubectl("delete", "pod", pods()[0], "--grace-period=0", "--force")
        kubectl("rollout", "status", "deployment/recommender", "--timeout=300s")


def test_a_mirror_that_is_killed_is_started_again_and_brings_the_next_version(ready, directory, figures):
    killed = pods()
    with load(figures, "the loss of both mirrors"):
        for pod in killed:
            kubectl("exec", pod, "--container=mirror", "--", "sh", "-c", "kill 1")
        push(directory, 3)
        wait_for(lambda: available() == [{3}, {3}])
    assert pods() == killed
    counts = [one["status"]["containerStatuses"] for one in get("pods", SELECTOR)["items"]]
    assert [{one["name"]: one["restartCount"] for one in each} for each in counts] == [{"mirror": 1, "server": 0}] * 2


def test_a_store_that_is_away_costs_no_request_and_the_next_version_comes_when_it_is_back(
    ready, store, directory, figures
):
    with load(figures, "a minute without the store"):
        store.vanish()
        time.sleep(60)
        wait_for(lambda: all("cannot mirror" in kubectl("logs", pod, "--container=mirror").stdout for pod in pods()))
        push(directory, 4)
        store.appear()
        wait_for(lambda: available() == [{4}, {4}])


def test_a_label_rolls_back_to_the_version_before(ready):
    """Two versions are kept; `stable` is first the newer, then the older. The files come with the ConfigMap."""
    volumes = get("deployment", "recommender")["spec"]["template"]["spec"]["volumes"]
    (name,) = [one["configMap"]["name"] for one in volumes if one["name"] == "config"]
    for stable in (4, 3):
        policy = "model_version_policy { specific { versions: 3 versions: 4 } }"
        label = f'version_labels {{ key: "stable" value: {stable} }}'
        content = 'name: "recommender" base_path: "/models/recommender" model_platform: "tensorflow"'
        text = f"model_config_list {{ config {{ {content} {policy} {label} }} }}"
        kubectl("patch", "configmap", name, "--patch", json.dumps({"data": {"models.config": text}}))
        wait_for(lambda stable=stable: labelled() == [stable, stable], seconds=300)  # The kubelet takes its time.


def test_the_steps_account_reads_its_secrets_and_no_other(applied, directory):
    kubectl("create", "secret", "generic", "somebody-elses", "--from-literal=key=value")
    kubectl("create", "secret", "generic", "mlpipeline-minio-artifact", "--from-literal=accesskey=minio")
    token = kubectl("create", "token", "recommender-pipeline").stdout.strip()
    server = json.loads(kubectl("config", "view", "--minify", "--raw", "--output=json").stdout)["clusters"][0][
        "cluster"
    ]

    authority = directory / "ca.crt"
    authority.write_bytes(base64.b64decode(server["certificate-authority-data"]))
    options = ["--kubeconfig=/dev/null", f"--server={server['server']}", f"--token={token}"]

    def asks(*arguments):
        done = kubectl(*options, f"--certificate-authority={authority}", *arguments, check=False)
        assert done.returncode == 0 or "Forbidden" in done.stderr, done.stderr
        return done.returncode == 0

    assert asks("get", "secret", "recommender-store")
    assert asks("get", "secret", "mlpipeline-minio-artifact")
    assert asks("get", "pods") and asks("get", "configmap", "kfp-launcher")
    assert not asks("get", "secret", "somebody-elses")
    assert not asks("get", "secrets")
    assert not asks("get", "configmap", "recommender-store")
    assert not asks("delete", "pod", "client")
