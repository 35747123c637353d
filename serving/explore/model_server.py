"""The model server behind the page, over TensorFlow Serving's REST API."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, NamedTuple
from urllib.parse import quote

import aiohttp

from serving.errors import ServingError

_LOOPBACK = ("127.0.0.1", "localhost")  # Never asked through a proxy, whatever the environment says.
_TIMEOUT_SECONDS = 30


class Call(NamedTuple):
    """A request that the server has answered, and how long that took."""

    signature: str
    milliseconds: float


class Served(NamedTuple):
    """A version that the server has.

    Attributes:
      path: of its routes, below the model's.
      version: its number.
      inputs: TensorFlow's name of each input's type, by signature and input.
      outputs: names of the outputs by signature.
    """

    path: str
    version: int
    inputs: dict[str, dict[str, str]]
    outputs: dict[str, list[str]]


class ModelServer:
    """Asks a model server. Use it as an asynchronous context manager.

    Every method raises ServingError where the server refuses, or is not there.
    """

    def __init__(self, host: str, rest_port: int, model_name: str):
        self._address = f"{host}:{rest_port}"
        self._url = f"http://{self._address}/v1/models/{model_name}"
        self._local = host in _LOOPBACK

    async def __aenter__(self) -> ModelServer:
        timeout = aiohttp.ClientTimeout(_TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(trust_env=not self._local, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def versions(self) -> list[int]:
        """Those that can answer, the newest first."""
        statuses = (await self._ask("GET", ""))["model_version_status"]
        return sorted((int(one["version"]) for one in statuses if one["state"] == "AVAILABLE"), reverse=True)

    async def served(self, which: str) -> Served:
        """The version that a number or a label means; "" is the newest."""
        path = f"/versions/{which}" if which.isdecimal() else f"/labels/{quote(which, safe='')}" if which else ""
        found = await self._ask("GET", f"{path}/metadata")
        signatures = found["metadata"]["signature_def"]["signature_def"]
        inputs = {
            name: {key: info["dtype"] for key, info in signature["inputs"].items()}
            for name, signature in signatures.items()
        }
        outputs = {name: list(signature["outputs"]) for name, signature in signatures.items()}
        return Served(path, int(found["model_spec"]["version"]), inputs, outputs)

    async def call(self, served: Served, signature: str, inputs: dict[str, list]) -> tuple[dict[str, list], Call]:
        """Calls a signature: nested lists by input name in, by output name out."""
        body = json.dumps({"signature_name": signature, "inputs": inputs})  # NaN is NaN, as TensorFlow Serving reads.
        start = time.perf_counter()
        outputs = (await self._ask("POST", f"{served.path}:predict", body))["outputs"]
        call = Call(signature, (time.perf_counter() - start) * 1000)
        names = served.outputs[signature]
        return outputs if len(names) > 1 else {names[0]: outputs}, call  # REST does not name an only output.

    async def _ask(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        try:
            async with self._session.request(method, self._url + path, data=body) as response:
                text = await response.text()
                if response.status != 200:
                    raise ServingError(f"{self._address} answered {response.status}: {_message(text)}")
                return json.loads(text)
        except asyncio.TimeoutError as error:
            raise ServingError(f"no answer from {self._address} within {_TIMEOUT_SECONDS} s") from error
        except aiohttp.ClientError as error:
            raise ServingError(
                f"no model server answers REST on {self._address}: start one with `recommender serve`, or give its "
                "--host and --rest-port"
            ) from error


def _message(text: str) -> str:
    try:
        return json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text[:200]
