"""A Pusher whose destination never holds half a model."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts

from components.atomic_pusher import executor
from components.parameters import Parameter


class AtomicPusherSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "push_destination": component_spec.ExecutionParameter(type=str),
        "lost_versions": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "infra_blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing),
    }
    OUTPUTS = {"pushed_model": component_spec.ChannelParameter(type=standard_artifacts.PushedModel)}


class AtomicPusher(base_component.BaseComponent):
    """Pushes a blessed model as a new version.

    Args:
      model_blessing: the Evaluator's.
      infra_blessing: the Canary's, which holds the model.
      push_destination: as LiveModel's.
      lost_versions: those of this model's origin that were pushed and are no longer there, so that a cached push of one
        is not taken for done.
    """

    SPEC_CLASS = AtomicPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model_blessing: BaseChannel,
        infra_blessing: BaseChannel,
        push_destination: Parameter,
        lost_versions: str,
    ):
        super().__init__(
            AtomicPusherSpec(
                model_blessing=model_blessing,
                infra_blessing=infra_blessing,
                push_destination=push_destination,
                lost_versions=lost_versions,
                pushed_model=channel.Channel(type=standard_artifacts.PushedModel),
            )
        )
