"""Predict, Classify and Regress, as both protocols call them."""

from __future__ import annotations

import grpc
import numpy as np
from tensorflow_serving.apis import classification_pb2, regression_pb2

from serving.codec.errors import RequestError, invalid
from serving.codec.requests import DEFAULT_SIGNATURE
from serving.server import examples
from serving.server.batching import Batcher
from serving.server.model import LoadedModel
from serving.server.registry import Registry
from serving.server.rows import Tensors

_METHODS = (
    "tensorflow/serving/predict",
    examples.CLASSIFY,
    examples.REGRESS,
)

_LARGE_VALUES = 8192  # Of an answer that is written in a thread, so that others need not wait for it.


class Inference:
    """Finds models, checks inputs, and runs them through the batcher. All methods raise RequestError.

    Args:
      registry: finds the models.
      batcher: runs requests on them.
      check_method_names: whether a signature is only asked what it was exported for.
    """

    def __init__(self, registry: Registry, batcher: Batcher, check_method_names: bool = False):
        self.registry, self._batcher = registry, batcher
        self._check_method_names = check_method_names

    def check(self, model: LoadedModel, name: str, rows_of: dict[str, int | None]) -> None:
        """Refuses inputs before their values are read: other names, or more rows than are ever taken.

        Args:
          model: that is asked.
          name: of the signature.
          rows_of: by name of the input, the size of its first dimension, if it has one.
        """
        signature = model.signature(name)
        if self._check_method_names and signature.method_name not in _METHODS:
            raise RequestError(
                grpc.StatusCode.INTERNAL,
                f"Expected prediction signature method_name to be one of {{{', '.join(_METHODS)}}}. "
                f"Was: {signature.method_name}",
            )
        model.check_names(name, rows_of.keys())
        if model.by_row[name]:
            self._batcher.check_rows(max((rows for rows in rows_of.values() if rows is not None), default=0))

    async def predict(self, model: LoadedModel, name: str, tensors: Tensors) -> dict[str, np.ndarray]:
        """A signature's outputs."""
        self.check(model, name, {key: len(array) if array.ndim else None for key, array in tensors.items()})
        return await self._batcher.run(model, name, tensors)

    async def classify(
        self, model: LoadedModel, name: str, serialized: np.ndarray
    ) -> classification_pb2.ClassificationResult:
        """Classes of each of [n] serialized examples."""
        outputs = await self._infer(model, name, serialized, examples.CLASSIFY)
        return examples.to_classes(outputs, len(serialized))

    async def regress(self, model: LoadedModel, name: str, serialized: np.ndarray) -> regression_pb2.RegressionResult:
        """A value for each of [n] serialized examples."""
        outputs = await self._infer(model, name, serialized, examples.REGRESS)
        return examples.to_regressions(outputs, len(serialized))

    async def _infer(self, model: LoadedModel, name: str, serialized: np.ndarray, method: str) -> dict[str, np.ndarray]:
        if name not in model.by_row:
            raise invalid(f"No signature was found with the name: {name or DEFAULT_SIGNATURE}")
        examples.check_signature(model.signature(name), method, self._check_method_names)
        return await self._batcher.run(model, name, {examples.INPUTS: serialized})


def is_large(tensors: Tensors) -> bool:
    """Whether an answer takes so long to write that others should not wait for it."""
    return sum(array.size for array in tensors.values()) > _LARGE_VALUES
