"""Errors as TensorFlow Serving reports them, over both protocols."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf import symbol_database
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import DecodeError, Message

_HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.OUT_OF_RANGE: HTTPStatus.BAD_REQUEST,
    grpc.StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    grpc.StatusCode.ABORTED: HTTPStatus.CONFLICT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: HTTPStatus.TOO_MANY_REQUESTS,
    grpc.StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    grpc.StatusCode.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
}
INTERNAL_ERROR = "Internal error"
_log = logging.getLogger("recommender.serving")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class RequestError(Exception):
    """A request that is answered with an error.

    Attributes:
      code: gRPC status.
      http_status: HTTP status; that of `code` unless given.
    """

    def __init__(self, code: grpc.StatusCode, message: str, http_status: int | None = None):
        super().__init__(message)
        self.code = code
        self.http_status = http_status or _HTTP.get(code, HTTPStatus.INTERNAL_SERVER_ERROR)


def invalid(message: str) -> RequestError:
    return RequestError(grpc.StatusCode.INVALID_ARGUMENT, message)


def from_tensorflow(error: tf.errors.OpError) -> RequestError:
    """An error from inside a model: the line that says what was wrong, without the trace of its graph."""
    lines = [line.strip() for line in str(error.message).split("\n") if line.strip()]
    place = next((number for number, line in enumerate(lines) if line.startswith("[[{{node")), 1)
    return RequestError(_CODES.get(error.error_code, grpc.StatusCode.INTERNAL), lines[max(place - 1, 0)])


def aborting(method: Callable) -> Callable:
    """Makes a gRPC method answer with the status of its RequestError; other errors show nothing of the inside."""

    @functools.wraps(method)
    async def call(self: object, request: Message | DecodeError, context: grpc.aio.ServicerContext) -> Any:
        if isinstance(request, DecodeError):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not a request for {method.__name__}: {request}")
        try:
            return await method(self, request, context)
        except RequestError as error:
            await context.abort(error.code, str(error))
        except Exception:
            _log.exception("%s failed", method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, INTERNAL_ERROR)

    return call


def handlers(servicer: object, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
    """A gRPC handler of a service's `aborting` methods. They get a DecodeError for bytes that are no message."""
    message = symbol_database.Default().GetPrototype
    methods = {
        method.name: grpc.unary_unary_rpc_method_handler(
            getattr(servicer, method.name),
            functools.partial(_decode, message(method.input_type).FromString),
            message(method.output_type).SerializeToString,
        )
        for method in service.methods
    }
    return grpc.method_handlers_generic_handler(service.full_name, methods)


def _decode(deserialize: Callable[[bytes], Message], raw: bytes) -> Message | DecodeError:
    try:
        return deserialize(raw)
    except DecodeError as error:
        return error
