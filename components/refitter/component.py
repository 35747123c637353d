"""Has a blessed model learn from the eval rows, too, before it is pushed."""

from tfx.types import standard_artifacts

from components.base import Component
from components.recommender_builder.component import RecommenderBuilder
from components.refitter.executor import Executor


class Refitter(Component):
    """The servable again, from models that have made one pass over the eval rows; or the same, where a guard says no.

    Args:
      blessed_model: the RecommenderBuilder's.
      model_blessing: the Evaluator's. A model that it refused is left alone.
      retrieval, ranking: the models' sections, as JSON.
      split: as the Trainers'.
      limits: the `Evaluation` section, as JSON, for the guard.
      fingerprint: digest of the code.
      The others are the RecommenderBuilder's.
    """

    EXECUTOR = Executor
    INPUTS = RecommenderBuilder.INPUTS | {
        "blessed_model": standard_artifacts.Model,
        "model_blessing": standard_artifacts.ModelBlessing,
    }
    OUTPUTS = {"model": standard_artifacts.Model}
    PARAMETERS = RecommenderBuilder.PARAMETERS | {"retrieval": str, "ranking": str, "split": str, "limits": str}
