"""The model server behind the page, over TensorFlow Serving's REST API."""

from __future__ import annotations

import json
import time
from typing import NamedTuple
from urllib.parse import quote

from serving.protocols import Inputs, Rest, RestRequest, Signatures
from serving.senders import AsyncRestSender, run_async

_TIMEOUT_SECONDS = 120  # The first call of a signature may take half a minute on a busy machine.


class Call(NamedTuple):
    """A signature that the server has answered, and how long that took."""

    signature: str
    milliseconds: float


class Served(NamedTuple):
    """A version that the server has: its messages, and what it says of itself."""

    protocol: Rest
    signatures: Signatures


class ModelServer:
    """Asks a model server. Its methods raise ServingError where that refuses, or is not there."""

    def __init__(self, host: str, rest_port: int, model_name: str):
        self._sender = AsyncRestSender(f"{host}:{rest_port}", _TIMEOUT_SECONDS)
        self._model_name = model_name

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._sender.close()

    async def versions(self) -> list[int]:
        """Those that can answer, the newest first."""
        status = json.loads(await self._sender.send(RestRequest("GET", f"/v1/models/{self._model_name}")))
        available = [one["version"] for one in status["model_version_status"] if one["state"] == "AVAILABLE"]
        return sorted(map(int, available), reverse=True)

    async def served(self, which: str) -> Served:
        """The version that a number or a label means; "" is the newest."""
        where = f"/versions/{which}" if which.isdecimal() else f"/labels/{quote(which, safe='')}" if which else ""
        protocol = Rest(self._model_name, where)
        return Served(protocol, await run_async(protocol.signatures(), self._sender.send))

    async def call(self, served: Served, signature: str, inputs: Inputs) -> tuple[dict[str, list], Call]:
        """The outputs of a signature."""
        start = time.perf_counter()
        outputs = await run_async(served.protocol.call(signature, inputs), self._sender.send)
        return outputs, Call(signature, (time.perf_counter() - start) * 1000)
