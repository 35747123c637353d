"""A Transform that gives the same output for the same input."""

from tfx.types import standard_artifacts

from components.base import BeamComponent
from components.transform.executor import Executor


class Transform(BeamComponent):
    """TFT's analysis of the train examples and the items, and the examples transformed by it.

    TFX's own component has Beam tune the size of batches by the time that they take, and reads and writes files in any
    order. Quantiles and sums, and with them the trained models, depend then on how busy the machine was.

    Args:
      examples: InteractionGen's.
      items: ItemGen's.
      schema: of the interactions' raw features.
      item_schema: of the items'.
      features: the FeatureSet of the data, as JSON.
      settings: the section `transform`, as JSON.
      fingerprint: digest of the code.
    """

    EXECUTOR = Executor
    INPUTS = {
        "examples": standard_artifacts.Examples,
        "items": standard_artifacts.Examples,
        "schema": standard_artifacts.Schema,
        "item_schema": standard_artifacts.Schema,
    }
    OUTPUTS = {
        "transform_graph": standard_artifacts.TransformGraph,
        "transformed_examples": standard_artifacts.Examples,
    }
    PARAMETERS = {"features": str, "settings": str, "fingerprint": str}
