"""The manifests against the schemas of Kubernetes, and against the files and ports that they name."""

import kubernetes_validate
import pytest
import yaml

from tests.serving.conftest import ROOT

SERVING = ROOT / "serving"
KUSTOMIZATION = yaml.safe_load((SERVING / "kustomization.yaml").read_text())
MANIFESTS = sorted((SERVING / "kubernetes").glob("*.yaml"))
KUBERNETES_VERSION = "1.31"


def manifest(name):
    return yaml.safe_load((SERVING / "kubernetes" / name).read_text())


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_fit_the_schemas(path):
    for document in yaml.safe_load_all(path.read_text()):
        kubernetes_validate.validate(document, KUBERNETES_VERSION, strict=True)


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
        manifest("disruption-budget.yaml")["spec"]["selector"]["matchLabels"],
        manifest("network-policy.yaml")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector == labels
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    assert manifest("autoscaler.yaml")["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    claim = volumes["models"]["persistentVolumeClaim"]["claimName"]
    assert claim == manifest("models.yaml")["metadata"]["name"]
    (generated,) = KUSTOMIZATION["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == generated["name"]


def test_compose_and_kubernetes_start_the_same_image_with_the_same_flags():
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"]["recommender"]
    (container,) = manifest("deployment.yaml")["spec"]["template"]["spec"]["containers"]
    assert compose["image"] == container["image"]
    assert set(compose["command"]) <= set(container["args"])
    files = [flag.partition("=/config/")[2] for flag in compose["command"] if "=/config/" in flag]
    assert {SERVING / "config" / name for name in files} == set((SERVING / "config").iterdir())
