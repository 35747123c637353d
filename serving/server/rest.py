"""TensorFlow Serving's REST API."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from aiohttp import web
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from serving.server import json_examples
from serving.server.inference import LARGE_BYTES, Inference, is_large
from serving.server.json_tensors import format_outputs, parse_inputs
from serving.server.metrics import CONTENT_TYPE, Metrics
from serving.server.model import DEFAULT_SIGNATURE, LoadedModel
from serving.server.registry import Target
from serving.server.status import INTERNAL_ERROR, RequestError, invalid
from serving.version_names import parse_version

MAX_REQUEST_BYTES = 16 << 20

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("recommender.serving")


def make_app(
    inference: Inference, metrics: Metrics, metrics_path: str | None, timeout_seconds: float
) -> web.Application:
    """The routes.

    Args:
      inference: answers the requests.
      metrics: count the requests, and are served at `metrics_path` unless that is None.
      timeout_seconds: for a whole request, from its body to its answer.
    """
    routes = _Routes(inference, metrics, timeout_seconds)
    app = web.Application(middlewares=[_errors], client_max_size=MAX_REQUEST_BYTES)
    for target in ("", "/versions/{version:[0-9]+}", "/labels/{label:[^/:]+}"):
        path = "/v1/models/{name:[^/:]+}" + target
        app.router.add_post(f"{path}:predict", routes.predict)
        app.router.add_post(f"{path}:classify", routes.classify)
        app.router.add_post(f"{path}:regress", routes.regress)
        app.router.add_get(path, routes.status)
        app.router.add_get(f"{path}/metadata", routes.metadata)
    if metrics_path:
        app.router.add_get(metrics_path, routes.metrics)
    return app


class _Routes:
    def __init__(self, inference: Inference, metrics: Metrics, timeout_seconds: float):
        self._inference, self._metrics, self._timeout_seconds = inference, metrics, timeout_seconds

    async def predict(self, request: web.Request) -> web.Response:
        return await self._timed(request, "Predict", self._predict)

    async def classify(self, request: web.Request) -> web.Response:
        return await self._timed(request, "Classify", self._classify)

    async def regress(self, request: web.Request) -> web.Response:
        return await self._timed(request, "Regress", self._regress)

    async def _timed(self, request: web.Request, api: str, answer: Callable[..., Awaitable]) -> web.Response:
        """Reads the body and answers within the time for a request."""

        async def read_and_answer() -> bytes:
            try:
                raw = await request.read()
            except web.HTTPRequestEntityTooLarge as error:
                message = f"Request body is larger than {MAX_REQUEST_BYTES} bytes"
                raise RequestError(grpc.StatusCode.RESOURCE_EXHAUSTED, message, error.status) from None
            except web.RequestPayloadError as error:
                raise invalid(f"Failed to read the request body: {' '.join(str(error).split())}") from error
            run = _in_thread if len(raw) > LARGE_BYTES else _inline
            return await answer(await run(_parsed, raw), target, run)

        target = _target(request)
        with self._metrics.request(target.name, api, "REST"):
            try:
                return _response(await asyncio.wait_for(read_and_answer(), self._timeout_seconds))
            except asyncio.TimeoutError:
                message = f"No answer within {self._timeout_seconds:g} s"
                raise RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, message) from None

    async def _predict(self, body: Any, target: Target, run: Callable) -> bytes:
        model = self._inference.registry.find(target)
        name = _signature(body, model)
        tensors, by_row = await run(parse_inputs, body, model.signature(name).inputs)
        outputs = await self._inference.predict(model, name, tensors)
        run = _in_thread if is_large(outputs) else run
        return await run(lambda: _dumped(format_outputs(outputs, by_row)))

    async def _classify(self, body: Any, target: Target, run: Callable) -> bytes:
        model = self._inference.registry.find(target)
        given = await run(json_examples.parse_examples, body)
        result = await self._inference.classify(model, _signature(body, model), given)
        return await run(lambda: _dumped(json_examples.format_classes(result)))

    async def _regress(self, body: Any, target: Target, run: Callable) -> bytes:
        model = self._inference.registry.find(target)
        given = await run(json_examples.parse_examples, body)
        result = await self._inference.regress(model, _signature(body, model), given)
        return await run(lambda: _dumped(json_examples.format_regressions(result)))

    async def status(self, request: web.Request) -> web.Response:
        return _json(
            {
                "model_version_status": [
                    {
                        "version": str(status.version),
                        "state": status.state,
                        "status": {"error_code": status.error_name, "error_message": status.error_message},
                    }
                    for status in self._inference.registry.statuses(_target(request))
                ]
            }
        )

    async def metadata(self, request: web.Request) -> web.Response:
        target = _target(request)
        model = self._inference.registry.find(target)
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=model.signature_defs)
        as_dict = json_format.MessageToDict(
            signatures, including_default_value_fields=True, preserving_proto_field_name=True
        )
        spec = {"name": target.name, "signature_name": "", "version": str(model.version)}
        return _json({"model_spec": spec, "metadata": {"signature_def": as_dict}})

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


@web.middleware
async def _errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every error becomes TensorFlow Serving's `{"error": …}`."""
    try:
        return await handler(request)
    except RequestError as error:
        return _json({"error": str(error)}, error.http_status)
    except web.HTTPException as error:
        if error.status in (404, 405):
            return _json({"error": f"Malformed request: {request.method} {request.path}"}, 400)
        raise
    except Exception:
        _log.exception("%s %s failed", request.method, request.path)
        return _json({"error": INTERNAL_ERROR}, 500)


def _target(request: web.Request) -> Target:
    path = request.match_info
    if "version" not in path:
        return Target(path["name"], None, path.get("label", ""))
    version = parse_version(path["version"])
    if version is None:
        raise invalid(f"Malformed request: {request.method} {request.path}")
    return Target(path["name"], version)


def _signature(body: Any, model: LoadedModel) -> str:
    name = body.get("signature_name", "") if isinstance(body, dict) else ""
    name = DEFAULT_SIGNATURE if name == "" else name
    if not isinstance(name, str) or name not in model.by_row:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    return name


async def _inline(function: Callable, *arguments: Any) -> Any:
    return function(*arguments)


async def _in_thread(function: Callable, *arguments: Any) -> Any:
    """For large bodies, so that small ones need not wait for them."""
    return await asyncio.to_thread(function, *arguments)


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error


def _dumped(body: Any) -> bytes:
    return json.dumps(body).encode()


def _json(body: Any, status: int = 200) -> web.Response:
    return _response(_dumped(body), status)


def _response(body: bytes, status: int = 200) -> web.Response:
    # TensorFlow Serving gives no charset, and none is needed: JSON is UTF-8.
    return web.Response(body=body, status=status, content_type="application/json")
