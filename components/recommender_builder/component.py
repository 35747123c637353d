"""Builds the servable that the Evaluator judges and the Pusher pushes."""

from tfx.types import standard_artifacts

from components.artifacts import DataSummary
from components.base import Component
from components.recommender_builder.executor import Executor


class RecommenderBuilder(Component):
    """One SavedModel with every signature.

    Args:
      examples: InteractionGen's, for the users' ids.
      transformed_examples: Transform's, for all that users have had, and for the queries that tune the index.
      items: ItemGen's.
      transform_graph: Transform's.
      retrieval_model: the retrieval Trainer's.
      ranking_model: the ranking Trainer's.
      summary, statistics, item_statistics: what the model keeps of its delivery, as the DriftValidator's.
      features: the FeatureSet of the data, as JSON.
      index: the `Index` section, as JSON.
      origin: digest of data, configuration and code. Servables of the same origin are the same model.
      fingerprint: digest of the code.
    """

    EXECUTOR = Executor
    INPUTS = {
        "examples": standard_artifacts.Examples,
        "transformed_examples": standard_artifacts.Examples,
        "items": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
        "retrieval_model": standard_artifacts.Model,
        "ranking_model": standard_artifacts.Model,
        "summary": DataSummary,
        "statistics": standard_artifacts.ExampleStatistics,
        "item_statistics": standard_artifacts.ExampleStatistics,
    }
    OUTPUTS = {"model": standard_artifacts.Model}
    PARAMETERS = {"features": str, "index": str, "origin": str, "fingerprint": str}
