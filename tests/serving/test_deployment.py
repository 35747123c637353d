"""The manifests against the schemas of Kubernetes, and against the files and ports that they name."""

import os
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.serving.conftest import ROOT

SERVING = ROOT / "serving"
KUSTOMIZATION = yaml.safe_load((SERVING / "kustomization.yaml").read_text())
MANIFESTS = sorted((SERVING / "kubernetes").glob("*.yaml"))
COMPONENTS = sorted(path.name for path in (SERVING / "components").iterdir())
KUBERNETES_VERSION = "1.31"


def manifest(name):
    return yaml.safe_load((SERVING / "kubernetes" / name).read_text())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_fit_the_schemas(path):
    for document in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


@pytest.fixture(scope="module", params=COMPONENTS)
def built(request, tmp_path_factory):
    """The name of a component, and the objects of the base with it, by kind."""
    kustomization = tmp_path_factory.mktemp("kustomization") / "kustomization.yaml"
    given = {"resources": [SERVING], "components": [SERVING / "components" / request.param]}
    relative = {key: [_relative(path, kustomization.parent) for path in paths] for key, paths in given.items()}
    kustomization.write_text(yaml.safe_dump(relative))
    kubectl = Path(sys.executable).parent / "kubectl"
    command = [kubectl, "kustomize", kustomization.parent]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    return request.param, {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}


def _relative(path, directory):
    return os.path.relpath(path.resolve(), directory.resolve())


def test_the_base_starts_on_any_node_and_each_component_changes_what_its_name_says(built):
    name, documents = built
    for document in documents.values():
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)
    base = manifest("deployment.yaml")["spec"]["template"]["spec"]
    pod = documents["Deployment"]["spec"]["template"]["spec"]
    assert set(base["nodeSelector"]) == {"kubernetes.io/arch"}
    (container,), (before,) = pod["containers"], base["containers"]
    changed = {key for key in container if container[key] != before[key]}
    selector = {key.rpartition(".")[2] for key in pod["nodeSelector"]} - {"io/arch"}
    assert (changed, selector) == {
        "own-server": ({"image"}, set()),
        "production": ({"resources"}, set()),
        "require-avx2": (set(), {"AVX2", "FMA3"}),
    }[name]
    assert {one["image"] for one in pod["initContainers"]} == {container["image"]}
    if name == "production":
        assert documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"] == "recommender"
        labels = documents["Deployment"]["spec"]["template"]["metadata"]["labels"]
        assert documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels


def test_the_schemas_find_a_wrong_field():
    wrong = manifest("service.yaml")
    wrong["spec"]["port"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES_VERSION, strict=True)


def test_the_kustomization_names_every_manifest_and_files_that_exist():
    assert sorted(SERVING / path for path in KUSTOMIZATION["resources"]) == MANIFESTS
    (config,) = KUSTOMIZATION["configMapGenerator"]
    assert sorted(SERVING / path for path in config["files"]) == sorted((SERVING / "config").iterdir())


def test_names_and_ports_agree():
    deployment, service = manifest("deployment.yaml"), manifest("service.yaml")
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"]
    for selector in (
        deployment["spec"]["selector"]["matchLabels"],
        service["spec"]["selector"],
        manifest("network-policy.yaml")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == labels
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifest("models.yaml")["metadata"]["name"]
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == generated["name"]


def test_compose_and_kubernetes_start_the_same_image_in_the_same_way():
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"]["recommender"]
    pod = manifest("deployment.yaml")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (image,) = re.findall(r"^\$\{SERVER_IMAGE:-docker.io/(.*)\}$", compose["image"])
    assert image == container["image"]
    assert set(compose["command"]) <= set(container["args"])
    files = [flag.partition("=/config/")[2] for flag in compose["command"] if "=/config/" in flag]
    assert {SERVING / "config" / name for name in files} == set((SERVING / "config").iterdir())
    user = pod["securityContext"]
    assert compose["user"] == f"{user['runAsUser']}:{user['runAsGroup']}"
    assert compose["read_only"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert compose["cap_drop"] == container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert compose["security_opt"] == ["no-new-privileges"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"] if mount["readOnly"]}
    assert {volume.rpartition(":/")[2] for volume in compose["volumes"]} == {f"{path[1:]}:ro" for path in mounts}
    assert {port.rpartition(":")[2] for port in compose["ports"]} == {
        str(one["containerPort"]) for one in container["ports"]
    }


def test_the_servers_image_is_what_the_manifests_say():
    dockerfile = (SERVING / "Dockerfile").read_text()
    (container,) = (pod := manifest("deployment.yaml")["spec"]["template"]["spec"])["containers"]
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}\n" in dockerfile
    assert f"EXPOSE {' '.join(str(one['containerPort']) for one in container['ports'])}\n" in dockerfile
    (component,) = yaml.safe_load((SERVING / "components" / "own-server" / "kustomization.yaml").read_text())["images"]
    assert container["image"].startswith(f"{component['name']}:")
    assert f'image.title="{component["newName"]}"' in dockerfile
    assert f'image.version="{component["newTag"]}"' in dockerfile


def test_what_prometheus_watches_is_what_the_server_gives():
    scrape = yaml.safe_load((SERVING / "prometheus" / "prometheus.yml").read_text())["scrape_configs"][0]
    assert f'path: "{scrape["metrics_path"]}"' in (SERVING / "config" / "monitoring.config").read_text()
    rules = (SERVING / "prometheus" / "rules.yml").read_text()
    named = set(re.findall(r":tensorflow:serving:\w+", rules))
    assert named == {":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_bucket"}
