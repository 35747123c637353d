"""The last step: what came out of a run, for people, whatever the verdict."""

from tfx.types import standard_artifacts

from components.artifacts import DataSummary, DriftReport, Html, Metrics
from components.base import Component
from components.reporter.executor import Executor


class Reporter(Component):
    """Figures that KFP's page shows and compares, and a page, from what the other steps have left.

    Args:
      summary: InteractionGen's.
      statistics, item_statistics: the StatisticsGens'.
      anomalies: ExampleValidator's.
      drift: DriftValidator's.
      retrieval_run, ranking_run: the Trainers'.
      evaluation: the Evaluator's.
      refitted_model: the Refitter's, where there is one.
      infra_blessing: the InfraValidator's.
      pushed_model: the Pusher's.
      name: of the configuration.
      split: its kind.
      generated: whether the data is, 0 or 1.
      warm_start: whether the Trainers were to go on from the live model, likewise.
      push_destination: as the Pusher's.
      fingerprint: digest of the code.
    """

    EXECUTOR = Executor
    INPUTS = {
        "summary": DataSummary,
        "statistics": standard_artifacts.ExampleStatistics,
        "item_statistics": standard_artifacts.ExampleStatistics,
        "anomalies": standard_artifacts.ExampleAnomalies,
        "drift": DriftReport,
        "retrieval_run": standard_artifacts.ModelRun,
        "ranking_run": standard_artifacts.ModelRun,
        "evaluation": standard_artifacts.ModelEvaluation,
        "refitted_model": standard_artifacts.Model,
        "infra_blessing": standard_artifacts.InfraBlessing,
        "pushed_model": standard_artifacts.PushedModel,
    }
    OPTIONAL = frozenset({"refitted_model"})
    OUTPUTS = {"metrics": Metrics, "report": Html}
    PARAMETERS = {
        "name": str,
        "split": str,
        "generated": int,
        "warm_start": int,
        "push_destination": str,
        "fingerprint": str,
    }
