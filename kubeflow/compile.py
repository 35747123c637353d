"""Compiles the DAG to the intermediate representation of Kubeflow Pipelines v2."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base import base_node
from tfx.orchestration import pipeline as tfx_pipeline
from tfx.orchestration.data_types import RuntimeParameter

# From its own module: `tfx.v1.orchestration.experimental` leaves it out where it finds no KFP that it knows.
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.utils import name_utils

from components.tables import spans
from models.errors import UserError
from pipeline import steps
from pipeline.config import Config, Kubeflow, Resources
from pipeline.dag import Parameters, create_pipeline
from pipeline.outputs import PIPELINE_NAME

_TYPES_FLAG = "--artifact_types"
_INPUTS_FLAG = "--json_serialized_inputs_spec_args"
_KFP_TYPES = "system."  # How names of KFP's own types of artifacts begin.
_COMMAND = ["python", "-m", "kubeflow.entrypoint"]

Spec = dict[str, Any]


class Locations(NamedTuple):
    """Defaults of the parameters that say where things are. None makes a parameter one that every run has to give."""

    data: str | None = None
    push_destination: str | None = None


def compile_pipeline(config: Config, locations: Locations) -> list[Spec]:
    """The pipeline's spec and, where the steps get an environment, that of the platform Kubernetes.

    The schema is 2.1, because the API server of open-source KFP refuses every other. What TFX does not express is added
    here: defaults of the parameters, resources, retries, what is never cached, and the artifacts' types.

    Raises:
      UserError: a threshold on a figure that does not exist, or resources for a component that does not.
    """
    parameters = _parameters(config, locations)
    pipeline = create_pipeline(
        config=config,
        parameters=parameters,
        data_fingerprint="",
        # An optional table counts as absent: the data is not there to look at.
        features=config.features(with_users=bool(config.data.users and not config.data.users.optional)),
        origin="",
        live_as_of="",
        lost_versions="",
        pipeline_name=PIPELINE_NAME,
        pipeline_root="",  # KFP has its own, by default and by run.
        beam_pipeline_args=[],
    )
    unknown = config.kubeflow.resources.keys() - (known := {step.value for step in steps.Step})
    if unknown:
        raise UserError(f"kubeflow.resources.{min(unknown)}: no such component; there are {', '.join(sorted(known))}")
    for component in pipeline.components:
        if component.id in steps.ON_BEAM:
            component.with_beam_pipeline_args(config.kubeflow.beam_args)
    job = _compile(pipeline, config.kubeflow.image)
    spec = job["pipelineSpec"]
    root = spec["root"]["inputDefinitions"]["parameters"]
    for parameter in parameters:
        root[parameter.name]["description"] = parameter.description
        if parameter.default is not None:
            root[parameter.name]["defaultValue"] = parameter.default
    for component in pipeline.components:
        _complete(spec, component, config.kubeflow)
    spec = _renamed(spec, {component.id: component.id.replace(".", "-") for component in pipeline.components})
    platform = _platform(spec, config.kubeflow)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())  # Raises where it does not fit KFP's schema.
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    return [spec, platform] if platform else [spec]


def to_yaml(specs: list[Spec]) -> str:
    """The specs as `kfp.Client` takes them, the same for the same specs; a text has a line for each of its own."""
    return yaml.dump_all(specs, Dumper=_Dumper, sort_keys=True, width=math.inf)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _parameters(config: Config, locations: Locations) -> Parameters:
    def parameter(name: str, kind: type, default: Any, description: str) -> RuntimeParameter:
        return RuntimeParameter(name=name, ptype=kind, default=default, description=description)

    return Parameters(
        data=parameter("data", str, locations.data, "Directory of the tables. {span} in it stands for the span."),
        span=parameter("span", str, config.data.span, f"Which delivery of the data; {spans.LATEST}: the greatest."),
        window=parameter("window", int, config.data.window, "How many spans are read together, that one the last."),
        push_destination=parameter(
            "push_destination", str, locations.push_destination, "Where versions go: in a store, or a directory."
        ),
        rejected_rows=parameter(
            "rejected_rows", str, "", "Directory for the lists of rows left out; empty: with the summary."
        ),
        retrieval_epochs=parameter("retrieval_epochs", int, config.retrieval.epochs, "Epochs of the retrieval model."),
        ranking_epochs=parameter("ranking_epochs", int, config.ranking.epochs, "Epochs of the ranking model."),
        thresholds=parameter(
            "thresholds", str, "{}", "Changes of evaluation.thresholds, as a JSON mapping by name; null takes one out."
        ),
    )


def _compile(pipeline: tfx_pipeline.Pipeline, image: str) -> Spec:
    runner = KubeflowV2DagRunner(
        KubeflowV2DagRunnerConfig(default_image=image, default_commands=_COMMAND, use_pipeline_spec_2_1=True)
    )
    return runner.run(pipeline, write_out=False)


def _complete(spec: Spec, component: base_node.BaseNode, config: Kubeflow) -> None:
    """Adds what TFX leaves out of a component's task and container."""
    task = spec["root"]["dag"]["tasks"][component.id]
    task["cachingOptions"] = {"enableCache": component.id not in steps.NEVER_CACHED}
    task["retryPolicy"] = {
        "maxRetryCount": config.retries,
        "backoffDuration": f"{config.backoff_seconds}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": f"{config.backoff_max_seconds}s",  # Without it KFP's is 0, and nothing is tried again.
    }
    declared = spec["components"][component.id].get("outputDefinitions", {}).get("artifacts", {})
    for key, channel in component.outputs.items():
        if channel.type.TYPE_NAME.startswith(_KFP_TYPES):  # Its page knows them by this.
            declared[key]["artifactType"] = {"schemaTitle": channel.type.TYPE_NAME, "schemaVersion": "0.0.1"}
    container = spec["deploymentSpec"]["executors"][spec["components"][component.id]["executorLabel"]]["container"]
    types = {
        "inputs": {name: name_utils.get_full_name(channel.type) for name, channel in component.inputs.items()},
        "outputs": {name: name_utils.get_full_name(channel.type) for name, channel in component.outputs.items()},
    }
    # TFX hands over the whole input definition. The types of its artifacts are in ours, those of the parameters needed.
    arguments = container["args"]
    definition = json.loads(arguments[arguments.index(_INPUTS_FLAG) + 1])
    arguments[arguments.index(_INPUTS_FLAG) + 1] = json.dumps({"parameters": definition.get("parameters", {})})
    arguments += [_TYPES_FLAG, json.dumps(types, sort_keys=True)]
    # Numbers of processors and gigabytes, which every 2.x backend reads; the newer text fields only later ones do.
    resources = config.resources.get(component.id, Resources())
    container["resources"] = {
        "cpuRequest": resources.cpu,
        "cpuLimit": resources.cpu,
        "memoryRequest": resources.memory_gb,
        "memoryLimit": resources.memory_gb,
    }
    if config.gpus and component.id in steps.TRAINERS:
        container["resources"]["accelerator"] = {"type": config.gpu_resource, "count": config.gpus}


def _platform(spec: Spec, config: Kubeflow) -> Spec:
    """What only Kubernetes has: every step's environment from Secrets and ConfigMaps; {} where there is none."""
    environment = {
        "secretAsEnv": [
            {"secretName": name, "keyToEnv": [{"secretKey": key, "envVar": key} for key in keys]}
            for name, keys in config.secrets.items()
        ],
        "configMapAsEnv": [
            {"configMapName": name, "keyToEnv": [{"configMapKey": key, "envVar": key} for key in keys]}
            for name, keys in config.config_maps.items()
        ],
    }
    environment = {kind: given for kind, given in environment.items() if given}
    if not environment:
        return {}
    executors = {label: environment for label in spec["deploymentSpec"]["executors"]}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _renamed(spec: Spec, names: dict[str, str]) -> Spec:
    """The spec with other names of tasks and components: Argo, which KFP runs on, takes no dots in them."""
    tasks = {}
    for name, task in spec["root"]["dag"]["tasks"].items():
        for artifact in task.get("inputs", {}).get("artifacts", {}).values():
            output = artifact["taskOutputArtifact"]
            output["producerTask"] = names[output["producerTask"]]
        if "dependentTasks" in task:
            task["dependentTasks"] = [names[other] for other in task["dependentTasks"]]
        task["taskInfo"]["name"] = task["componentRef"]["name"] = names[name]
        tasks[names[name]] = task
    spec["root"]["dag"]["tasks"] = tasks
    spec["components"] = {names[name]: component for name, component in spec["components"].items()}
    return spec
