"""The ExampleGen of interactions."""

from __future__ import annotations

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import channel, component_spec, standard_artifacts

from components.artifacts import DataSummary
from components.interaction_gen import executor
from components.parameters import Parameter


class InteractionGenSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "data": component_spec.ExecutionParameter(type=str),
        "directory": component_spec.ExecutionParameter(type=str),
        "span": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str),
        "rejected_rows_dir": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {}
    OUTPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "summary": component_spec.ChannelParameter(type=DataSummary),
    }


class InteractionGen(base_beam_component.BaseBeamComponent):
    """Interactions with histories, as splits `train` and `eval`.

    Args:
      data: the layout of the tables, the `Data` section of the configuration, as JSON.
      directory: where they are, as `pipeline.spans.resolve` understands it.
      span: likewise.
      split: the `Split` section, as JSON.
      fingerprint: digest of the source files and of the code that reads them, so that a cached output is used only
        while neither has changed.
      rejected_rows_dir: where the rejected rows are listed, in a file named after the span, or the fingerprint where
        there are no spans. Kept when the run stops. "" is the summary's own directory.
    """

    SPEC_CLASS = InteractionGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        data: str,
        directory: Parameter,
        span: Parameter,
        split: str,
        fingerprint: str,
        rejected_rows_dir: Parameter,
    ):
        super().__init__(
            InteractionGenSpec(
                data=data,
                directory=directory,
                span=span,
                split=split,
                fingerprint=fingerprint,
                rejected_rows_dir=rejected_rows_dir,
                examples=channel.Channel(type=standard_artifacts.Examples),
                summary=channel.Channel(type=DataSummary),
            )
        )
