"""The ExampleGen of candidates."""

from __future__ import annotations

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.catalogue_gen import executor
from components.parameters import Parameter


class CatalogueGenSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "data": component_spec.ExecutionParameter(type=str),
        "directory": component_spec.ExecutionParameter(type=str),
        "span": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {}
    OUTPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class CatalogueGen(base_beam_component.BaseBeamComponent):
    """Every movie that can be recommended, as split `catalogue`. Parameters as in InteractionGen."""

    SPEC_CLASS = CatalogueGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, data: str, directory: Parameter, span: Parameter, fingerprint: str):
        super().__init__(
            CatalogueGenSpec(
                data=data,
                directory=directory,
                span=span,
                fingerprint=fingerprint,
                examples=channel.Channel(type=standard_artifacts.Examples),
            )
        )
