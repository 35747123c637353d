"""A Pusher whose destination never holds half a model."""

from tfx.types import standard_artifacts

from components.atomic_pusher.executor import Executor
from components.base import Component


class AtomicPusher(Component):
    """Pushes a blessed model as a new version.

    Args:
      model_blessing: the Evaluator's.
      infra_blessing: the InfraValidator's, which holds the model.
      push_destination: as LiveModel's.
      lost_versions: those of this model's origin that were pushed and are no longer there, so that a cached push of one
        is not taken for done.
    """

    EXECUTOR = Executor
    INPUTS = {
        "model_blessing": standard_artifacts.ModelBlessing,
        "infra_blessing": standard_artifacts.InfraBlessing,
    }
    OUTPUTS = {"pushed_model": standard_artifacts.PushedModel}
    PARAMETERS = {"push_destination": str, "lost_versions": str}
