"""Builds the servable that the Evaluator judges and the Pusher pushes."""

from __future__ import annotations

from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import BaseChannel, channel, component_spec, standard_artifacts

from components.recommender_builder import executor


class RecommenderBuilderSpec(component_spec.ComponentSpec):
    PARAMETERS = {
        "index": component_spec.ExecutionParameter(type=str),
        "history_length": component_spec.ExecutionParameter(type=int),
        "origin": component_spec.ExecutionParameter(type=str),
    }
    INPUTS = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "catalogue": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": component_spec.ChannelParameter(type=standard_artifacts.TransformGraph),
        "retrieval_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
        "ranking_model": component_spec.ChannelParameter(type=standard_artifacts.Model),
    }
    OUTPUTS = {"model": component_spec.ChannelParameter(type=standard_artifacts.Model)}


class RecommenderBuilder(base_component.BaseComponent):
    """One SavedModel with every signature.

    Args:
      examples: InteractionGen's, for what users have seen.
      transformed_examples: Transform's, for the queries that the index is timed on.
      catalogue: CatalogueGen's.
      transform_graph: Transform's.
      retrieval_model: the retrieval Trainer's.
      ranking_model: the ranking Trainer's.
      index: the `Index` section, as JSON.
      history_length: the most recent interactions that a query of a known user knows.
      origin: digest of data, configuration and code. Servables of the same origin are the same model.
    """

    SPEC_CLASS = RecommenderBuilderSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: BaseChannel,
        transformed_examples: BaseChannel,
        catalogue: BaseChannel,
        transform_graph: BaseChannel,
        retrieval_model: BaseChannel,
        ranking_model: BaseChannel,
        index: str,
        history_length: int,
        origin: str,
    ):
        super().__init__(
            RecommenderBuilderSpec(
                examples=examples,
                transformed_examples=transformed_examples,
                catalogue=catalogue,
                transform_graph=transform_graph,
                retrieval_model=retrieval_model,
                ranking_model=ranking_model,
                index=index,
                history_length=history_length,
                origin=origin,
                model=channel.Channel(type=standard_artifacts.Model),
            )
        )
