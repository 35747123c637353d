"""A Transform that gives the same output for the same input."""

from __future__ import annotations

from tfx.components.transform import component, executor
from tfx.dsl.components.base import executor_spec

_ROWS = 1000  # What Beam's own batches grow to.


class Executor(executor.Executor):
    """Works on batches of a fixed size.

    Otherwise Beam tunes the size by the time that batches take, and quantiles and sums, and with them the trained
    models, depend on how busy the machine was.
    """

    def _GetDesiredBatchSize(self, data_format: int, schema) -> int:
        return _ROWS


class ReproducibleTransform(component.Transform):
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
