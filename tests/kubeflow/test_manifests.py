"""The overlays as kustomize builds them, against the schemas of Kubernetes and against each other."""

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.e2e.conftest import ROOT
from tests.serving.test_deployment import KUBERNETES_VERSION

MANIFESTS = ROOT / "kubeflow" / "manifests"
OVERLAYS = sorted(path.name for path in (MANIFESTS / "overlays").iterdir())


def build(overlay):
    kubectl = Path(sys.executable).parent / "kubectl"
    command = [kubectl, "kustomize", MANIFESTS / "overlays" / overlay]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=OVERLAYS)
def built(request):
    """An overlay's objects by kind and name."""
    return {(document["kind"], document["metadata"]["name"]): document for document in build(request.param)}


@pytest.fixture
def pod(built):
    return built["Deployment", "recommender"]["spec"]["template"]["spec"]


def test_the_objects_fit_the_schemas(built):
    for document in built.values():
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


def test_everything_is_in_one_namespace(built):
    made = {name for kind, name in built if kind == "Namespace"}
    namespaces = made or {"kubeflow"}
    assert len(namespaces) == 1
    for (kind, _), document in built.items():
        assert kind == "Namespace" or {document["metadata"]["namespace"]} == namespaces
    (subject,) = built["RoleBinding", "recommender-pipeline"]["subjects"]
    assert subject["namespace"] in namespaces
    assert (subject["kind"], subject["name"]) in built


def test_what_is_named_is_there(built, pod):
    assert ("ServiceAccount", pod["serviceAccountName"]) in built
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert ("ConfigMap", volumes["config"]["configMap"]["name"]) in built
    assert "emptyDir" in volumes["models"] and "persistentVolumeClaim" not in volumes["models"]
    assert not [name for kind, name in built if kind == "PersistentVolumeClaim"]
    for container in pod["containers"]:
        assert {mount["name"] for mount in container["volumeMounts"]} <= set(volumes)
    binding = built["RoleBinding", "recommender-pipeline"]
    assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in built


def test_launcher_and_mirror_get_the_same_store(built, pod):
    (mirror,) = (container for container in pod["containers"] if container["name"] == "mirror")
    config, secret = mirror["envFrom"]
    environment = built["ConfigMap", config["configMapRef"]["name"]]["data"]
    used = {name for argument in mirror["command"] for name in re.findall(r"\$\((\w+)\)", argument)}
    assert used == {"PUSH_DESTINATION"} <= set(environment)
    rules = built["Role", "recommender-pipeline"]["rules"]
    readable = [name for rule in rules for name in rule.get("resourceNames", [])]
    assert secret["secretRef"]["name"] in readable
    launcher = built["ConfigMap", "kfp-launcher"]["data"]
    scheme, _, path = launcher["defaultPipelineRoot"].partition("://")
    assert environment["PUSH_DESTINATION"].startswith(f"{scheme}://{path.partition('/')[0]}/")
    (provider,) = yaml.safe_load(launcher["providers"])
    assert provider == scheme


def test_the_server_watches_what_the_mirror_fills(built, pod):
    containers = {container["name"]: container for container in pod["containers"]}
    *_, directory = containers["mirror"]["command"]
    config = built["ConfigMap", pod["volumes"][1]["configMap"]["name"]]["data"]["models.config"]
    assert f'base_path: "{directory}"' in config
    mounts = {name: container["volumeMounts"][0] for name, container in containers.items()}
    assert mounts["mirror"] == {"name": "models", "mountPath": "/models"}
    assert mounts["server"] == {"name": "models", "mountPath": "/models", "readOnly": True}


def test_the_mirror_is_let_through_to_the_store(built):
    policy = built["NetworkPolicy", "recommender"]["spec"]
    ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    endpoint = built["ConfigMap", "recommender-store"]["data"].get("AWS_ENDPOINT_URL", "https://storage:443")
    assert {53, int(endpoint.rpartition(":")[2])} <= ports
    assert policy["ingress"]


def test_images_are_pinned_and_secrets_only_named(built, pod):
    for container in pod["containers"]:
        name, _, tag = container["image"].rpartition(":")
        assert name and tag != "latest"
        assert not container.get("env")
    # One for one user has what KFP's own store begins with.
    assert [name for kind, name in built if kind == "Secret"] in ([], ["recommender-store"])
    keys = {key for (kind, _), document in built.items() if kind == "ConfigMap" for key in document["data"]}
    assert not [key for key in keys if re.search("KEY|SECRET|PASSWORD|TOKEN", key)]


def test_the_tag_of_the_images_is_the_packages_version():
    files = [ROOT / "kubeflow" / "Dockerfile", *MANIFESTS.rglob("*.yaml")]
    pattern = r"recommender-(?:pipeline|server):(\S+)|newTag: (\S+)"
    tags = {"".join(tag) for file in files for tag in re.findall(pattern, file.read_text())}
    assert tags == {metadata.version("recommender-pipeline")}
