"""The ExampleGen of candidates."""

from __future__ import annotations

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.artifacts import DataSummary
from components.catalogue_gen import executor
from components.parameters import Parameter


class CatalogueGenSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "data": component_spec.ExecutionParameter(type=str),
        "directory": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {"summary": component_spec.ChannelParameter(type=DataSummary)}
    OUTPUTS = {"examples": component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class CatalogueGen(base_beam_component.BaseBeamComponent):
    """Every movie that can be recommended, as split `catalogue`.

    Parameters as in InteractionGen; the span is that of InteractionGen's `summary`, as a later one may have come since.
    """

    SPEC_CLASS = CatalogueGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(self, summary: channel.Channel, data: str, directory: Parameter, fingerprint: str):
        super().__init__(
            CatalogueGenSpec(
                summary=summary,
                data=data,
                directory=directory,
                fingerprint=fingerprint,
                examples=channel.Channel(type=standard_artifacts.Examples),
            )
        )
