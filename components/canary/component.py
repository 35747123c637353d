"""Serves the candidate model for real and asks it, before it is pushed."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts

from components.canary import executor


class CanarySpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "canary": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "catalogue": component_spec.ChannelParameter(type=standard_artifacts.Examples),
    }
    OUTPUTS = {"blessing": component_spec.ChannelParameter(type=standard_artifacts.InfraBlessing)}


class Canary(base_component.BaseComponent):
    """Blesses a model whose server answers well, and adds warm-up requests to it.

    As with TFX's InfraValidator, the blessing holds the model that is to be pushed.

    Args:
      model: the servable.
      model_blessing: the Evaluator's. No server is started for a model that it refused.
      examples: InteractionGen's, whose eval rows are asked about.
      catalogue: CatalogueGen's.
      canary: the `Canary` section, as JSON.
      fingerprint: digest of the code, that of `serving` included.
    """

    SPEC_CLASS = CanarySpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        model: BaseChannel,
        model_blessing: BaseChannel,
        examples: BaseChannel,
        catalogue: BaseChannel,
        canary: str,
        fingerprint: str,
    ):
        super().__init__(
            CanarySpec(
                model=model,
                model_blessing=model_blessing,
                examples=examples,
                catalogue=catalogue,
                canary=canary,
                fingerprint=fingerprint,
                blessing=channel.Channel(type=standard_artifacts.InfraBlessing),
            )
        )
