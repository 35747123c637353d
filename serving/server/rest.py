"""TensorFlow Serving's REST API."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import grpc
from aiohttp import web
from tensorflow_serving.apis import model_pb2

from serving.codec import json_answers, requests
from serving.codec.errors import RequestError, invalid
from serving.codec.pool import ParserPool
from serving.codec.requests import DEFAULT_SIGNATURE
from serving.server.http_server import HttpServer
from serving.server.inference import Inference, is_large
from serving.server.metrics import CONTENT_TYPE, Metrics
from serving.server.page import page
from serving.server.rates import Rates
from serving.server.registry import Target
from serving.server.request_log import RequestLogs, predict_log, to_request, to_response
from serving.server.status import INTERNAL_ERROR
from serving.version_names import parse_version

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_API = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
_PREDICTION = re.compile(_MODEL + ":(?P<method>classify|regress|predict)", re.IGNORECASE | re.ASCII)
_STATUS = re.compile(
    _MODEL.replace("/(?P<name>[^/:]+)", "(?:/(?P<name>[^/:]+))?") + "(?:/(?P<metadata>metadata))?",
    re.IGNORECASE | re.ASCII,
)
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}

_log = logging.getLogger("recommender.serving")


class RestApi:
    """Answers HTTP requests.

    Args:
      inference: answers the requests.
      metrics: count the requests, and are served at `metrics_path` unless that is None.
      logs: keep some of them.
      parsers: read them.
      rates: of the clients.
      max_bytes: memory that the inputs of a request may take.
      metrics_path: see there.
      timeout_seconds: for a whole request, from its body to its answer; None for any time.
      cors: whether pages of other origins may ask.
    """

    def __init__(
        self,
        inference: Inference,
        metrics: Metrics,
        logs: RequestLogs,
        parsers: ParserPool,
        rates: Rates,
        max_bytes: int,
        metrics_path: str | None,
        timeout_seconds: float | None,
        cors: bool,
    ):
        self._inference, self._metrics, self._logs, self._parsers = inference, metrics, logs, parsers
        self._rates, self._max_bytes = rates, max_bytes
        self._metrics_path, self._timeout_seconds, self._cors = metrics_path, timeout_seconds, cors
        self._server: HttpServer | None = None

    def server(self, max_body_bytes: int) -> HttpServer:
        """The server of these answers, which takes bodies of so many bytes."""
        self._server = HttpServer(self._answer, self._parsers, max_body_bytes)
        return self._server

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        """Every error becomes TensorFlow Serving's `{"error": …}`."""
        try:
            self._rates.count(request.remote or "")
            response = await self._route(request)
        except RequestError as error:
            response = _json({"error": str(error)}, error.http_status)
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            response = _json({"error": INTERNAL_ERROR}, 500)
        if self._cors:
            response.headers.update(_CORS)
        return response

    async def _route(self, request: web.BaseRequest) -> web.Response:
        path = request.raw_path.partition("?")[0]
        if request.method == "GET" and path == self._metrics_path:
            return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})
        if request.method == "GET" and path == "/":
            html = page(self._inference.registry, self._metrics_path)
            return web.Response(text=html, content_type="text/html", charset="utf-8")
        if not _API.fullmatch(path):
            raise RequestError(grpc.StatusCode.NOT_FOUND, f"Not found: {request.method} {path}")
        if request.method == "OPTIONS" and self._cors:
            return web.Response()
        if request.method == "POST" and (match := _PREDICTION.fullmatch(path)):
            name = match["method"].capitalize()
            answers = {"Predict": self._predict, "Classify": self._classify, "Regress": self._regress}
            return await self._inferred(request, _target(match), name, answers[name])
        if request.method == "GET" and (match := _STATUS.fullmatch(path)):
            if not match["name"]:
                raise invalid("Missing model name in request.")
            return (self._metadata if match["metadata"] else self._status)(_target(match))
        raise invalid(f"Malformed request: {request.method} {path}")

    async def _inferred(
        self, request: web.BaseRequest, target: Target, api: str, answer: Callable[..., Awaitable[bytes]]
    ) -> web.Response:
        """Reads the body and answers within the time for a request."""
        assert self._server
        server = self._server

        async def read_and_answer() -> bytes:
            body = await server.read(request)
            try:
                return await answer(body, target)
            finally:
                server.release(sum(map(len, body)))

        with self._metrics.request(api, "REST", target.name):
            try:
                return _response(await asyncio.wait_for(read_and_answer(), self._timeout_seconds))
            except asyncio.TimeoutError:
                message = f"No answer within {self._timeout_seconds:g} s"
                raise RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, message) from None

    async def _predict(self, body: list[bytes], target: Target) -> bytes:
        model = self._inference.registry.find(target)
        given = await self._parsers.run(requests.predict_json, body, model.inputs, self._max_bytes)
        outputs = await self._inference.predict(model, given.signature, given.tensors)
        spec = model_pb2.ModelSpec(name=target.name, signature_name=given.signature)
        spec.version.value = model.version
        self._logs.log(target.name, lambda: predict_log(to_request(spec, given.tensors), to_response(spec, outputs)))
        if is_large(outputs):
            return await asyncio.to_thread(json_answers.format_outputs, outputs, given.by_row)
        return json_answers.format_outputs(outputs, given.by_row)

    async def _classify(self, body: list[bytes], target: Target) -> bytes:
        model, given = self._inference.registry.find(target), await self._parsers.run(requests.examples_json, body)
        return json_answers.format_classes(await self._inference.classify(model, _name(given), given.serialized))

    async def _regress(self, body: list[bytes], target: Target) -> bytes:
        model, given = self._inference.registry.find(target), await self._parsers.run(requests.examples_json, body)
        return json_answers.format_regressions(await self._inference.regress(model, _name(given), given.serialized))

    def _status(self, target: Target) -> web.Response:
        statuses = [
            {
                "version": str(status.version),
                "state": status.state,
                "status": {"error_code": status.error_name, "error_message": status.error_message},
            }
            for status in self._inference.registry.statuses(target)
        ]
        return _json({"model_version_status": statuses})

    def _metadata(self, target: Target) -> web.Response:
        model = self._inference.registry.find(target)
        spec = {"name": target.name, "signature_name": "", "version": str(model.version)}
        return _response(
            b'{"model_spec": '
            + json.dumps(spec).encode()
            + b', "metadata": {"signature_def": '
            + model.signatures_as_json
            + b"}}"
        )


def _target(match: re.Match[str]) -> Target:
    name, label = unquote(match["name"]), unquote(match["label"] or "")
    if match["version"] is None:
        return Target(name, None, label)
    version = parse_version(match["version"])
    if version is None:
        raise invalid(f"Failed to convert version: {match['version']} to numeric.")
    return Target(name, version)


def _name(given: requests.Examples) -> str:
    return model_pb2.ModelSpec.FromString(given.tasks[0][0]).signature_name or DEFAULT_SIGNATURE


def _json(body: Any, status: int = 200) -> web.Response:
    return _response(json.dumps(body).encode(), status)


def _response(body: bytes, status: int = 200) -> web.Response:
    # TensorFlow Serving gives no charset, and none is needed: JSON is UTF-8.
    return web.Response(body=body, status=status, content_type="application/json")
