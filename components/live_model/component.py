"""Brings the model that is live into the pipeline, for the Evaluator to compare with."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.live_model import executor
from components.parameters import Parameter


class LiveModelSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "push_destination": component_spec.ExecutionParameter(type=str),
        "origin": component_spec.ExecutionParameter(type=str),
        "as_of": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {}
    OUTPUTS = {"model": component_spec.ChannelParameter(type=standard_artifacts.Model)}


class LiveModel(base_component.BaseComponent):
    """The newest version in the push destination that is not this run's own model; nothing where there is none.

    An ordinary component, because open-source Kubeflow Pipelines has no TFX Resolver.

    Args:
      push_destination: a directory that a model server watches, or an object store that `serving.sync` mirrors.
      origin: the RecommenderBuilder's of this run: a model is not compared with itself.
      as_of: whatever changes when the destination does, so that an older answer is not taken from the cache.
    """

    SPEC_CLASS = LiveModelSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(self, push_destination: Parameter, origin: str, as_of: str):
        super().__init__(
            LiveModelSpec(
                push_destination=push_destination,
                origin=origin,
                as_of=as_of,
                model=channel.Channel(type=standard_artifacts.Model),
            )
        )
