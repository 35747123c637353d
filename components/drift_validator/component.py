"""Between the data and the Trainers: is this delivery like the one before?"""

from tfx.types import standard_artifacts

from components.artifacts import DataSummary, DriftReport
from components.base import Component
from components.drift_validator.executor import Executor


class DriftValidator(Component):
    """Compares a delivery with what the live model keeps of its own. Without a live model there is nothing to compare.

    TFX's ExampleValidator is given no earlier statistics, so comparators in a schema never fire there.

    Args:
      summary: InteractionGen's.
      statistics, item_statistics: the StatisticsGens'.
      live_model: LiveModel's.
      settings: the `Drift` section, as JSON.
      fingerprint: digest of the code.
    """

    EXECUTOR = Executor
    INPUTS = {
        "summary": DataSummary,
        "statistics": standard_artifacts.ExampleStatistics,
        "item_statistics": standard_artifacts.ExampleStatistics,
        "live_model": standard_artifacts.Model,
    }
    OUTPUTS = {"drift": DriftReport}
    PARAMETERS = {"settings": str, "fingerprint": str}
