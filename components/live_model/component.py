"""Brings the model that is live into the pipeline, for the Evaluator to compare with."""

from tfx.types import standard_artifacts

from components.base import Component
from components.live_model.executor import Executor


class LiveModel(Component):
    """The newest version in the push destination that is not this run's own model; nothing where there is none.

    An ordinary component, because open-source Kubeflow Pipelines has no TFX Resolver.

    Args:
      push_destination: a directory that a model server watches, or an object store that `serving.sync` mirrors.
      origin: the RecommenderBuilder's of this run: a model is not compared with itself.
      as_of: whatever changes when the destination does, so that an older answer is not taken from the cache.
    """

    EXECUTOR = Executor
    OUTPUTS = {"model": standard_artifacts.Model}
    PARAMETERS = {"push_destination": str, "origin": str, "as_of": str}
