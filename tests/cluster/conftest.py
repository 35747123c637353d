"""The cluster of KUBECONFIG with the images, a namespace, and an S3 server on this machine that its pods reach."""

import json
import subprocess

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from tests.cluster.kube import NAMESPACE, get, image, kubectl, kustomization
from tests.serving.conftest import ROOT

BUCKET = "mlpipeline"


@pytest.fixture(scope="session")
def cluster():
    """A cluster that answers, with the images and an empty namespace, which goes at the end."""
    if kubectl("version", check=False).returncode:
        pytest.exit("no Kubernetes answers: set KUBECONFIG", returncode=1)
    command = [ROOT / "scripts" / "cluster_load.sh", image("server"), image("pipeline")]
    loaded = subprocess.run(command, text=True, capture_output=True)
    if loaded.returncode:
        pytest.exit(f"the images are not in the cluster: {loaded.stderr.strip()}", returncode=1)
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    kubectl("create", "namespace", NAMESPACE)
    yield
    kubectl("delete", "namespace", NAMESPACE, "--wait=false")


class Store:
    """The Service `store`, and the server on this machine behind it."""

    def __init__(self, port: int):
        self._port = port
        node = get("nodes")["items"][0]["status"]["addresses"]
        self._address = next(one["address"] for one in node if one["type"] == "InternalIP")

    def appear(self, port: int | None = None) -> None:
        """Has the Service lead to the server, or to another port of this machine."""
        name = {"apiVersion": "v1", "metadata": {"name": "store"}}
        ports = [{"name": "s3", "port": 9000}]
        behind = [{"addresses": [{"ip": self._address}], "ports": [{"name": "s3", "port": port or self._port}]}]
        service = name | {"kind": "Service", "spec": {"ports": ports}}
        kubectl("apply", "--filename=-", given=[service, name | {"kind": "Endpoints", "subsets": behind}])

    def vanish(self) -> None:
        """Has the Service lead nowhere."""
        kubectl("delete", "endpoints", "store")


@pytest.fixture(scope="session")
def store(cluster):
    """An S3 server with a bucket, which this process reaches on the loopback and pods as http://store:9000."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")  # `store` is no bucket's name.
        server = ThreadedMotoServer("0.0.0.0", 0)
        server.start()
        _, port = server.get_host_and_port()
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "minio")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "minio123")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir(BUCKET)
        found = Store(port)
        found.appear()
        yield found
        server.stop()


@pytest.fixture(scope="session")
def applied(store, tmp_path_factory):
    """The overlay with two servers, in the tests' namespace and with their store. Nothing has been pushed."""
    patch = {"kind": "ConfigMap", "metadata": {"name": "recommender-store"}, "apiVersion": "v1"}
    subject = [{"op": "replace", "path": "/subjects/0/namespace", "value": NAMESPACE}]
    overlay = kustomization(
        tmp_path_factory.mktemp("overlay"),
        namespace=NAMESPACE,
        resources=["kubeflow/manifests/overlays/standalone"],
        replicas=[{"name": "recommender", "count": 2}],
        images=[{"name": "registry.example.com/recommender-server", "newName": image("server").rpartition(":")[0]}],
        patches=[
            {"patch": json.dumps(patch | {"data": {"AWS_ENDPOINT_URL": "http://store:9000"}})},
            {"patch": json.dumps(subject), "target": {"kind": "RoleBinding"}},
        ],
    )
    kubectl("apply", "--validate=strict", "--kustomize", overlay)
