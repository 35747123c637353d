"""Measures the servable and decides whether it may be pushed."""

from tfx.types import standard_artifacts

from components.base import BeamComponent
from components.evaluator.executor import Executor


class RecommenderEvaluator(BeamComponent):
    """TFMA over the signatures that will be served.

    Args:
      examples: InteractionGen's; queries come from `eval`, and what users have seen from `train`.
      transformed_examples: Transform's.
      transform_graph: Transform's.
      items: ItemGen's.
      model: the servable.
      live_model: LiveModel's.
      retrieval_model: the retrieval Trainer's, which the servable has to agree with.
      ranking_model: the ranking Trainer's, likewise.
      retrieval_run: the retrieval Trainer's, for its validation over unfiltered lists.
      features: the FeatureSet of the data, as JSON.
      limits: the `Evaluation` section, as JSON.
      threshold_changes: a JSON mapping that is merged over the section's thresholds, as a configuration's are.
      fingerprint: digest of the code.
    """

    EXECUTOR = Executor
    INPUTS = {
        "examples": standard_artifacts.Examples,
        "transformed_examples": standard_artifacts.Examples,
        "transform_graph": standard_artifacts.TransformGraph,
        "items": standard_artifacts.Examples,
        "model": standard_artifacts.Model,
        "live_model": standard_artifacts.Model,
        "retrieval_model": standard_artifacts.Model,
        "ranking_model": standard_artifacts.Model,
        "retrieval_run": standard_artifacts.ModelRun,
    }
    OUTPUTS = {
        "evaluation": standard_artifacts.ModelEvaluation,
        "blessing": standard_artifacts.ModelBlessing,
    }
    PARAMETERS = {
        "features": str,
        "limits": str,
        "threshold_changes": str,
        "fingerprint": str,
    }
