"""Which versions are loaded, on real models below a real directory."""

import asyncio
import shutil

import pytest
import requests
from tensorflow_serving.config import model_server_config_pb2

from serving.server.registry import Registry, Target
from serving.server.status import RequestError
from serving.server.versions import Loading, ModelVersions
from tests.serving.conftest import export, serving, wait_for, without_roots_rights


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model"
    export(path)
    return path


@pytest.fixture
def base_path(exported, tmp_path):
    for version in "123":
        shutil.copytree(exported, tmp_path / version)
    return tmp_path


def config(base_path, policy=None, labels=None, name="toy"):
    given = model_server_config_pb2.ModelConfig(name=name, base_path=str(base_path), version_labels=labels or {})
    if policy:
        kind, values = policy
        getattr(given.model_version_policy, kind).SetInParent()
        for key, value in values.items():
            found = getattr(given.model_version_policy, kind)
            getattr(found, key).extend(value) if isinstance(value, list) else setattr(found, key, value)
    return given


def states(versions):
    return {status.version: status.state for status in versions.statuses(None)}


def refresh(versions):
    asyncio.run(versions.refresh())


@pytest.mark.parametrize(
    ("policy", "served"),
    [
        (None, [3]),
        (("latest", {"num_versions": 2}), [2, 3]),
        (("all", {}), [1, 2, 3]),
        (("specific", {"versions": [1, 9]}), [1]),
    ],
)
def test_the_policy_chooses_versions(base_path, policy, served):
    versions = ModelVersions(config(base_path, policy))
    refresh(versions)
    assert [version for version in range(10) if versions.has(version)] == served
    assert versions.find(None).version == max(served)


def test_deleting_the_newest_rolls_back(base_path):
    versions = ModelVersions(config(base_path))
    refresh(versions)
    shutil.rmtree(base_path / "3")
    refresh(versions)
    assert versions.find(None).version == 2
    assert states(versions) == {3: "END", 2: "AVAILABLE"}


@pytest.mark.parametrize("harm", ["half-copied", "corrupt", "no signature"])
def test_what_does_not_load_is_reported_left_alone_and_tried_again_when_it_changes(base_path, exported, harm):
    versions = ModelVersions(config(base_path))
    refresh(versions)
    old = versions.find(None)
    new = base_path / "4"
    shutil.copytree(exported, new)
    if harm == "half-copied":
        shutil.rmtree(new / "variables")
    elif harm == "corrupt":
        (new / "saved_model.pb").write_bytes((exported / "saved_model.pb").read_bytes()[:1000])
    else:
        (new / "saved_model.pb").write_bytes(b"")
    refresh(versions)
    (failed, *_) = versions.statuses(None)
    assert (failed.version, failed.state) == (4, "END") and failed.error_message
    assert versions.find(None) is old
    refresh(versions)
    assert versions.statuses(None)[0] is failed, "it is not tried again for nothing"
    shutil.rmtree(new)
    shutil.copytree(exported, new)
    refresh(versions)
    assert versions.find(None).version == 4
    assert states(versions) == {4: "AVAILABLE", 3: "END"}


def test_a_version_with_links_that_go_round_is_loaded_or_left_alone(base_path, exported):
    versions = ModelVersions(config(base_path))
    refresh(versions)
    for link in ("loop", "other-loop"):
        (base_path / "3" / "assets" / link).symlink_to(base_path / "3")
    shutil.copytree(exported, base_path / "4")
    (base_path / "4" / "variables.index").symlink_to("variables.index")
    (base_path / "4" / "saved_model.pb").write_bytes(b"not a graph")
    shutil.copytree(exported, base_path / "5")
    refresh(versions)
    assert versions.find(None).version == 5
    shutil.rmtree(base_path / "5")
    refresh(versions)
    assert states(versions) == {5: "END", 4: "END", 3: "AVAILABLE"}


def test_a_version_that_cannot_be_read_holds_up_no_other(base_path, exported):
    shutil.copytree(exported, base_path / "8")
    (base_path / "8" / "variables").chmod(0)
    shutil.copytree(exported, base_path / "9")
    (base_path / "9").chmod(0)
    options = ["--file_system_poll_wait_seconds=0.05"]
    try:
        with serving(base_path, *options, prepare=without_roots_rights) as server:
            found = {int(one["version"]): one["state"] for one in status(server)}
            assert found == {9: "END", 8: "END", 3: "AVAILABLE"}
            shutil.copytree(exported, base_path / "10")
            wait_for(lambda: status(server)[0]["state"] == "AVAILABLE")
            assert status(server)[0]["version"] == "10"
            (base_path / "11").mkdir()
            (base_path / "9").chmod(0o755)
            shutil.rmtree(base_path / "10")
            wait_for(lambda: {one["version"]: one["state"] for one in status(server)}["9"] == "AVAILABLE")
    finally:
        for path in (base_path / "8" / "variables", base_path / "9"):
            path.chmod(0o755)


def status(server):
    return requests.get(server.url()).json()["model_version_status"]


def test_a_version_that_fails_is_tried_again_as_often_as_told(base_path):
    (base_path / "3" / "saved_model.pb").write_bytes(b"not a graph")
    versions = ModelVersions(config(base_path, ("specific", {"versions": [3]})), Loading(retries=2, retry_seconds=0))
    refresh(versions)
    assert versions._failed[3].tries == 3
    versions = ModelVersions(config(base_path, ("specific", {"versions": [3]})), Loading(retries=2, retry_seconds=1e9))
    refresh(versions)
    assert versions._failed[3].tries == 1, "later"


def test_a_server_that_starts_on_a_broken_version_serves_the_one_before(base_path):
    (base_path / "3" / "saved_model.pb").write_bytes(b"not a graph")
    versions = ModelVersions(config(base_path))
    refresh(versions)
    assert versions.find(None).version == 2
    assert states(versions) == {3: "END", 2: "AVAILABLE"}


def test_a_disk_out_of_reach_is_no_reason_to_stop_and_an_empty_one_is(base_path):
    versions = ModelVersions(config(base_path))
    refresh(versions)
    base_path.rename(base_path.parent / "elsewhere")
    refresh(versions)
    assert versions.find(None).version == 3
    base_path.mkdir()
    refresh(versions)
    assert not versions.ready


def test_a_broken_version_that_is_wanted_does_not_take_the_others_down(base_path):
    versions = ModelVersions(config(base_path, ("specific", {"versions": [2]})))
    refresh(versions)
    (base_path / "3" / "saved_model.pb").write_bytes(b"not a graph")
    versions.config = config(base_path, ("specific", {"versions": [3]}))
    for _ in range(3):
        refresh(versions)
        assert versions.find(2).version == 2
    versions.config = config(base_path, ("latest", {"num_versions": 2}))
    refresh(versions)
    assert states(versions) == {3: "END", 2: "AVAILABLE", 1: "AVAILABLE"}


def test_directories_that_are_named_like_numbers(base_path):
    (base_path / "3").rename(base_path / "0009")
    (base_path / "2").rename(base_path / ("9" * 30))
    (base_path / "1").rename(base_path / "²")
    versions = ModelVersions(config(base_path))
    refresh(versions)
    assert states(versions) == {9: "AVAILABLE"}


def registry_of(*configs, **options):
    """A registry after a first configuration, and a function to give it another."""

    async def report(ready):
        registry.reported = ready

    def configure(*configs):
        given = model_server_config_pb2.ModelServerConfig()
        given.model_config_list.config.extend(configs)
        asyncio.run(registry.configure(given))

    registry = Registry(report, **options)
    configure(*configs)
    return registry, configure


def test_labels_name_loaded_versions(base_path):
    everything = ("all", {})
    registry, configure = registry_of(config(base_path, everything, {"stable": 2, "canary": 3}))
    assert registry.reported
    assert [registry.find(Target("toy", label=label)).version for label in ("stable", "canary")] == [2, 3]
    with pytest.raises(RequestError, match="Unrecognized servable version label: no"):
        registry.find(Target("toy", label="no"))
    with pytest.raises(RequestError, match="label stable of model toy to a version which is not currently available"):
        configure(config(base_path, everything, {"stable": 9}))
    assert registry.find(Target("toy", label="stable")).version == 2
    (base_path / "3" / "saved_model.pb").write_bytes(b"not a graph")
    with pytest.raises(RequestError, match="label stable"):
        configure(config(base_path, ("specific", {"versions": [1, 4]}), {"stable": 4}))
    assert registry.find(Target("toy", label="stable")).version == 2, "what a label in force names stays loaded"


def test_a_label_in_a_polled_configuration_waits_for_its_version(exported, base_path):
    given = model_server_config_pb2.ModelServerConfig()
    given.model_config_list.config.append(config(base_path, ("all", {}), {"next": 4}))

    async def report(_):
        pass

    async def version_of_the_label():
        registry = Registry(report, poll_seconds=0.01)
        registry.watch(lambda: given, 0.01)
        while not registry.ready:
            await asyncio.sleep(0.01)
        shutil.copytree(exported, base_path / "4")
        while True:
            try:
                return registry.find(Target("toy", label="next")).version
            except RequestError:
                await asyncio.sleep(0.01)

    assert asyncio.run(asyncio.wait_for(version_of_the_label(), 60)) == 4


def test_a_new_label_may_be_for_a_version_that_is_not_there_where_that_is_allowed(base_path):
    registry, configure = registry_of(config(base_path, None, {"next": 4}), labels_before_versions=True)
    with pytest.raises(RequestError, match=r"Servable not found for request: Specific\(toy, 4\)"):
        registry.find(Target("toy", label="next"))
    configure(config(base_path, None, {"stable": 3, "next": 4}))
    with pytest.raises(RequestError, match="label stable"):
        configure(config(base_path, None, {"stable": 9, "next": 4}))
    assert registry.find(Target("toy", label="stable")).version == 3


def test_models_that_a_new_configuration_leaves_out_are_dropped(base_path, tmp_path):
    registry, configure = registry_of(config(base_path), config(base_path, name="other"))
    model = registry.find(Target("toy"))
    configure(config(base_path), config(tmp_path / "empty", name="empty"))
    assert registry.find(Target("toy")) is model, "a model that stays is not loaded again"
    assert not registry.ready and not registry.reported
    for name in ("other", "empty"):
        with pytest.raises(RequestError, match=rf"Servable not found for request: Latest\({name}\)"):
            registry.find(Target(name))


def test_a_new_base_path_without_versions_leaves_the_model_as_it_was(base_path, exported, tmp_path):
    registry, configure = registry_of(config(base_path))
    model = registry.find(Target("toy"))
    other = tmp_path / "other"
    with pytest.raises(RequestError, match=f"Model toy has no version to serve below {other}"):
        configure(config(other))
    assert registry.ready and registry.find(Target("toy")) is model
    shutil.copytree(exported, other / "9")
    configure(config(other))
    assert registry.find(Target("toy")).version == 9


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ([], "at least one model"),
        ([{"name": "a", "base_path": "x"}, {"name": "a", "base_path": "y"}], "Illegal to list model a multiple times"),
        ([{"name": "a"}], "model a has no base_path"),
        ([{"name": "a", "base_path": "x", "model_platform": "onnx"}], "unsupported platform onnx"),
    ],
)
def test_a_wrong_configuration_changes_nothing(base_path, configs, message):
    registry, configure = registry_of(config(base_path))
    with pytest.raises(RequestError, match=message):
        configure(*(model_server_config_pb2.ModelConfig(**given) for given in configs))
    assert registry.names == ["toy"]
