"""Predict, Classify and Regress, as both protocols call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server import examples
from serving.server.batching import Batcher, Tensors
from serving.server.model import LoadedModel
from serving.server.registry import Registry

LARGE_BYTES = 64 << 10  # Larger requests are parsed in a thread, so that small ones need not wait for them.
_LARGE_VALUES = LARGE_BYTES // 8  # Larger answers are written in a thread, for the same reason.

_Result = TypeVar("_Result")


class Inference:
    """Finds models, checks inputs, and runs them through the batcher. All methods raise RequestError.

    Args:
      registry: finds the models.
      batcher: runs requests on them.
    """

    def __init__(self, registry: Registry, batcher: Batcher):
        self.registry, self._batcher = registry, batcher

    async def predict(self, model: LoadedModel, name: str, tensors: Tensors) -> dict[str, np.ndarray]:
        """A signature's outputs."""
        model.check(name, tensors)
        return await self._batcher.run(model, name, tensors)

    async def classify(
        self, model: LoadedModel, name: str, given: input_pb2.Input
    ) -> classification_pb2.ClassificationResult:
        """Classes of each example."""
        return await self._infer(model, name, given, examples.CLASSIFY, examples.to_classes)

    async def regress(self, model: LoadedModel, name: str, given: input_pb2.Input) -> regression_pb2.RegressionResult:
        """A value for each example."""
        return await self._infer(model, name, given, examples.REGRESS, examples.to_regressions)

    async def _infer(
        self,
        model: LoadedModel,
        name: str,
        given: input_pb2.Input,
        method: str,
        to_result: Callable[[dict[str, np.ndarray], int], _Result],
    ) -> _Result:
        examples.check_method(model.signature(name), method)
        tensors = examples.to_tensors(given)
        (rows,) = map(len, tensors.values())
        return to_result(await self.predict(model, name, tensors), rows)


def is_large(tensors: Tensors) -> bool:
    """Whether an answer takes so long to write that others should not wait for it."""
    return sum(array.size for array in tensors.values()) > _LARGE_VALUES
