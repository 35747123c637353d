"""Measures the servable and decides whether it may be pushed."""

from __future__ import annotations

from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts

from components.evaluation import executor
from components.parameters import Parameter


class RecommenderEvaluatorSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "limits": component_spec.ExecutionParameter(type=str),
        "threshold_changes": component_spec.ExecutionParameter(type=str),
        "preference_threshold": component_spec.ExecutionParameter(type=float),
        "fingerprint": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "catalogue": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "live_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "retrieval_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "ranking_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "retrieval_run": component_spec.ChannelParameter(type=standard_artifacts.ModelRun),
    }
    OUTPUTS = {
        "evaluation": component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "blessing": component_spec.ChannelParameter(type=standard_artifacts.ModelBlessing),
    }


class RecommenderEvaluator(base_beam_component.BaseBeamComponent):
    """TFMA over the signatures that will be served.

    Args:
      examples: InteractionGen's; queries come from `eval`, and what users have seen from `train`.
      transformed_examples: Transform's.
      transform_graph: Transform's.
      catalogue: CatalogueGen's.
      model: the servable.
      live_model: LiveModel's.
      retrieval_model: the retrieval Trainer's, which the servable has to agree with.
      ranking_model: the ranking Trainer's, likewise.
      retrieval_run: the retrieval Trainer's, for its validation over unfiltered lists.
      limits: the `Evaluation` section, as JSON.
      threshold_changes: a JSON mapping that is merged over the section's thresholds, as a configuration's are.
      preference_threshold: the rating from which on a movie counts as relevant to two-stage quality.
      fingerprint: digest of the code.
    """

    SPEC_CLASS = RecommenderEvaluatorSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

    def __init__(
        self,
        examples: BaseChannel,
        transformed_examples: BaseChannel,
        transform_graph: BaseChannel,
        catalogue: BaseChannel,
        model: BaseChannel,
        live_model: BaseChannel,
        retrieval_model: BaseChannel,
        ranking_model: BaseChannel,
        retrieval_run: BaseChannel,
        limits: str,
        threshold_changes: Parameter,
        preference_threshold: float,
        fingerprint: str,
    ):
        super().__init__(
            RecommenderEvaluatorSpec(
                examples=examples,
                transformed_examples=transformed_examples,
                transform_graph=transform_graph,
                catalogue=catalogue,
                model=model,
                live_model=live_model,
                retrieval_model=retrieval_model,
                ranking_model=ranking_model,
                retrieval_run=retrieval_run,
                limits=limits,
                threshold_changes=threshold_changes,
                preference_threshold=preference_threshold,
                fingerprint=fingerprint,
                evaluation=channel.Channel(type=standard_artifacts.ModelEvaluation),
                blessing=channel.Channel(type=standard_artifacts.ModelBlessing),
            )
        )
