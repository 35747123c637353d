"""The base of our components: what TFX wants of each, made from a declaration of a few lines."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx.dsl.components.base import base_beam_component, base_component, base_executor, executor_spec
from tfx.orchestration.data_types import RuntimeParameter
from tfx.types import BaseChannel, artifact, channel, component_spec

# Of a component: values, or those that the orchestrator fills in when the pipeline runs.
Parameter = str | RuntimeParameter
IntParameter = int | RuntimeParameter


class _Declared:
    """Makes spec and constructor, which takes every input and parameter by name.

    Attributes:
      EXECUTOR: class of the executor.
      INPUTS: artifact types by key.
      OPTIONAL: keys of the inputs that need not be given.
      OUTPUTS: likewise.
      PARAMETERS: `str`, `int` or `float` by name.
    """

    EXECUTOR: ClassVar[type[base_executor.BaseExecutor]]
    INPUTS: ClassVar[dict[str, type[artifact.Artifact]]] = {}
    OPTIONAL: ClassVar[frozenset[str]] = frozenset()
    OUTPUTS: ClassVar[dict[str, type[artifact.Artifact]]] = {}
    PARAMETERS: ClassVar[dict[str, type]] = {}
    SPEC_CLASS: ClassVar[Any]  # TFX's names, of what is made here.
    EXECUTOR_SPEC: ClassVar[Any]
    _EXECUTOR_SPEC: ClassVar[type[executor_spec.ExecutorClassSpec]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "EXECUTOR" in vars(cls):
            members = {
                "INPUTS": {
                    key: component_spec.ChannelParameter(type=kind, optional=key in cls.OPTIONAL)
                    for key, kind in cls.INPUTS.items()
                },
                "OUTPUTS": {key: component_spec.ChannelParameter(type=kind) for key, kind in cls.OUTPUTS.items()},
                "PARAMETERS": {
                    name: component_spec.ExecutionParameter(type=kind) for name, kind in cls.PARAMETERS.items()
                },
            }
            cls.SPEC_CLASS = type(f"{cls.__name__}Spec", (component_spec.ComponentSpec,), members)
            cls.EXECUTOR_SPEC = cls._EXECUTOR_SPEC(cls.EXECUTOR)

    def __init__(self, **given: BaseChannel | Parameter | IntParameter | float) -> None:
        outputs: dict[str, Any] = {key: channel.Channel(type=kind) for key, kind in self.OUTPUTS.items()}
        super().__init__(self.SPEC_CLASS(**given, **outputs))  # type: ignore[call-arg]  # TFX's base, which follows.


class Component(_Declared, base_component.BaseComponent):
    """A component made from its class attributes; see `_Declared`."""

    _EXECUTOR_SPEC = executor_spec.ExecutorClassSpec


class BeamComponent(_Declared, base_beam_component.BaseBeamComponent):
    """As `Component`, whose executor runs on Beam."""

    _EXECUTOR_SPEC = executor_spec.BeamExecutorSpec
