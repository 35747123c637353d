"""What both protocols ask of a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server import examples
from serving.server.batching import Batcher, Tensors
from serving.server.model import LoadedModel
from serving.server.registry import Registry

LARGE_BYTES = 64 << 10  # Requests above are read in a thread, so that small ones need not wait for them.
_LARGE_VALUES = LARGE_BYTES // 8  # Answers above are written in one, for the same reason.


class Inference:
    """Finds models, checks inputs, and runs them through the batcher. All methods raise RequestError.

    Args:
      registry: of the models.
      batcher: for all of them.
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
        return await self._of_examples(model, name, given, examples.CLASSIFY, examples.to_classes)

    async def regress(self, model: LoadedModel, name: str, given: input_pb2.Input) -> regression_pb2.RegressionResult:
        """A value for each example."""
        return await self._of_examples(model, name, given, examples.REGRESS, examples.to_regressions)

    async def _of_examples(self, model: LoadedModel, name: str, given: input_pb2.Input, method: str, finish: Callable):
        examples.check_method(model.signature(name), method)
        tensors = examples.to_tensors(given)
        (rows,) = map(len, tensors.values())
        return finish(await self.predict(model, name, tensors), rows)


def is_large(tensors: Tensors) -> bool:
    """Whether an answer takes so long to write that others should not wait for it."""
    return sum(array.size for array in tensors.values()) > _LARGE_VALUES
