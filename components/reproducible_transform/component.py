"""A Transform that gives the same output for the same input."""

from __future__ import annotations

from tfx.components.transform import component
from tfx.dsl.components.base import executor_spec

from components.reproducible_transform.executor import Executor


class ReproducibleTransform(component.Transform):
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
