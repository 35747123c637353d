"""The ExampleGen of items."""

from tfx.types import standard_artifacts

from components.artifacts import DataSummary
from components.base import BeamComponent
from components.item_gen.executor import Executor


class ItemGen(BeamComponent):
    """Every item that can be recommended, as split `items`.

    Args:
      interactions: InteractionGen's examples, which name the items where there is no table of them.
      summary: InteractionGen's, which names the spans: a later one may have come since.
      data, features, directory, fingerprint: as InteractionGen's.
    """

    EXECUTOR = Executor
    INPUTS = {"interactions": standard_artifacts.Examples, "summary": DataSummary}
    OUTPUTS = {"examples": standard_artifacts.Examples}
    PARAMETERS = {"data": str, "features": str, "directory": str, "fingerprint": str}
