"""TensorFlow Serving's REST API."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from serving.server.json_tensors import format_outputs, parse_inputs
from serving.server.model import DEFAULT_SIGNATURE
from serving.server.status import RequestError, invalid
from serving.server.versions import VersionManager

_MODEL = "/v1/models/{name:[^/:]+}"
_VERSION = "/versions/{version:[0-9]+}"
_MAX_REQUEST_BYTES = 16 << 20


def make_app(manager: VersionManager) -> web.Application:
    """The routes of one model."""
    routes = _Routes(manager)
    app = web.Application(middlewares=[_errors], client_max_size=_MAX_REQUEST_BYTES)
    for model in (_MODEL, _MODEL + _VERSION):
        app.router.add_post(f"{model}:predict", routes.predict)
        app.router.add_get(model, routes.status)
        app.router.add_get(f"{model}/metadata", routes.metadata)
    return app


class _Routes:
    def __init__(self, manager: VersionManager):
        self._manager = manager

    async def predict(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
        except (ValueError, RecursionError) as error:
            raise invalid(f"JSON Parse error: {error}") from error
        model = self._manager.find(*_name_and_version(request))
        name = body.get("signature_name", DEFAULT_SIGNATURE) if isinstance(body, dict) else DEFAULT_SIGNATURE
        if name not in model.signature_defs:
            raise invalid(f'Serving signature name: "{name}" not found in signature def')
        tensors, by_row = parse_inputs(body, model.signature(name).inputs)
        outputs = await asyncio.to_thread(model.run, name, tensors)
        return _json(format_outputs(outputs, by_row))

    async def status(self, request: web.Request) -> web.Response:
        return _json(
            {
                "model_version_status": [
                    {
                        "version": str(status.version),
                        "state": status.state,
                        "status": {
                            "error_code": "OK" if not status.error_code else "UNKNOWN",
                            "error_message": status.error_message,
                        },
                    }
                    for status in self._manager.statuses(*_name_and_version(request))
                ]
            }
        )

    async def metadata(self, request: web.Request) -> web.Response:
        name, version = _name_and_version(request)
        model = self._manager.find(name, version)
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=model.signature_defs)
        as_dict = json_format.MessageToDict(
            signatures, including_default_value_fields=True, preserving_proto_field_name=True
        )
        spec = {"name": name, "signature_name": "", "version": str(model.version)}
        return _json({"model_spec": spec, "metadata": {"signature_def": as_dict}})


@web.middleware
async def _errors(request: web.Request, handler) -> web.StreamResponse:
    """Every error becomes TensorFlow Serving's `{"error": …}`."""
    try:
        return await handler(request)
    except RequestError as error:
        return _json({"error": str(error)}, error.http_status)
    except web.HTTPRequestEntityTooLarge as error:
        return _json({"error": f"Request body is larger than {_MAX_REQUEST_BYTES} bytes"}, error.status)
    except web.HTTPException as error:
        if error.status in (404, 405):
            return _json({"error": f"Malformed request: {request.method} {request.path}"}, 400)
        raise


def _name_and_version(request: web.Request) -> tuple[str, int | None]:
    version = request.match_info.get("version")
    return request.match_info["name"], int(version) if version else None


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)
