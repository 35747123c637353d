"""What both protocols ask of a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tensorflow_serving.apis import classification_pb2, input_pb2, regression_pb2

from serving.server import examples
from serving.server.batching import Batcher, Tensors
from serving.server.model import LoadedModel
from serving.server.registry import Registry, Target

LARGE_BYTES = 64 << 10  # Requests above are read in a thread, so that small ones need not wait for them.


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
        self, target: Target, name: str, given: input_pb2.Input
    ) -> tuple[LoadedModel, classification_pb2.ClassificationResult]:
        """The model that answered, and classes of each example."""
        return await self._of_examples(target, name, given, examples.CLASSIFY, examples.to_classes)

    async def regress(
        self, target: Target, name: str, given: input_pb2.Input
    ) -> tuple[LoadedModel, regression_pb2.RegressionResult]:
        """The model that answered, and a value for each example."""
        return await self._of_examples(target, name, given, examples.REGRESS, examples.to_regressions)

    async def _of_examples(self, target: Target, name: str, given: input_pb2.Input, method: str, finish: Callable):
        model = self.registry.find(target)
        examples.check_method(model.signature(name), method)
        tensors = examples.to_tensors(given)
        (rows,) = map(len, tensors.values())
        return model, finish(await self.predict(model, name, tensors), rows)
