"""Serves a candidate model for real and asks it, before it is pushed."""

from tfx.types import standard_artifacts

from components.base import Component
from components.infra_validator.executor import Executor


class ServedModelValidator(Component):
    """Blesses a model whose server answers well, and adds warm-up requests to it.

    It stands where TFX's InfraValidator does, which needs docker and looks at no answer. As there, the blessing holds
    the model that is to be pushed. It does not wait for the Evaluator, beside which it runs.

    Args:
      model: the servable.
      examples: InteractionGen's, whose eval rows are asked about.
      items: ItemGen's.
      features: the FeatureSet of the data, as JSON.
      settings: the section `infra_validator`, as JSON.
      fingerprint: digest of the code, the server's included.
    """

    EXECUTOR = Executor
    INPUTS = {
        "model": standard_artifacts.Model,
        "examples": standard_artifacts.Examples,
        "items": standard_artifacts.Examples,
    }
    OUTPUTS = {"blessing": standard_artifacts.InfraBlessing}
    PARAMETERS = {"features": str, "settings": str, "fingerprint": str}
