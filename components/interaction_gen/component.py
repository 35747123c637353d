"""The ExampleGen of interactions."""

from tfx.types import standard_artifacts

from components.artifacts import DataSummary
from components.base import BeamComponent
from components.interaction_gen.executor import Executor


class InteractionGen(BeamComponent):
    """Timelines of users, as splits `train` and `eval`.

    Args:
      data: the layout of the tables, `tables.settings.Tables` as JSON.
      features: the FeatureSet of the data, as JSON. Without features of users their table is not read.
      directory: where they are, as `tables.spans.resolve` understands it.
      span, window: likewise.
      missing_spans: as in the configuration.
      split: the `Split` section, as JSON.
      fingerprint: digest of the source files and of the code that reads them, so that a cached output is used only
        while neither has changed.
      rejected_rows_dir: where the rejected rows are listed, in a file named after the span, or the fingerprint where
        there are no spans. Kept when the run stops. "" is the summary's own directory.
    """

    EXECUTOR = Executor
    OUTPUTS = {"examples": standard_artifacts.Examples, "summary": DataSummary}
    PARAMETERS = {
        "data": str,
        "features": str,
        "directory": str,
        "span": str,
        "window": int,
        "missing_spans": str,
        "split": str,
        "fingerprint": str,
        "rejected_rows_dir": str,
    }
