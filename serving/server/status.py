"""Errors as TensorFlow Serving reports them, and how gRPC calls are made."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import grpc
import tensorflow as tf
from google.protobuf import symbol_database
from google.protobuf.descriptor import ServiceDescriptor

from serving.codec.errors import RequestError
from serving.server.rates import Rates

INTERNAL_ERROR = "Internal error"
_MAX_DETAILS = 2000  # Clients take no more than some kilobytes of trailers.
_log = logging.getLogger("recommender.serving")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def from_tensorflow(error: tf.errors.OpError) -> RequestError:
    """An error from inside a model: the line that says what was wrong, without the trace of its graph."""
    lines = [line.strip() for line in str(error.message).split("\n") if line.strip()]
    place = next((number for number, line in enumerate(lines) if line.startswith("[[{{node")), 1)
    return RequestError(_CODES.get(error.error_code, grpc.StatusCode.INTERNAL), lines[max(place - 1, 0)])


class Calls:
    """How gRPC methods are called: not too many at a time, nor too often by one client.

    Args:
      at_once: calls that are handled at the same time; None: any number.
      rates: of the clients.
    """

    def __init__(self, at_once: int | None, rates: Rates):
        self._turns = asyncio.Semaphore(at_once) if at_once else contextlib.nullcontext()
        self._rates = rates

    def handlers(self, servicer: object, service: ServiceDescriptor) -> grpc.GenericRpcHandler:
        """A gRPC handler of a service's methods, which take the bytes of a request and a context."""
        messages = symbol_database.Default().GetPrototype
        methods = {
            method.name: grpc.unary_unary_rpc_method_handler(
                self.aborting(getattr(servicer, method.name)),
                response_serializer=messages(method.output_type).SerializeToString,
            )
            for method in service.methods
        }
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def aborting(self, method: Callable, takes_turn: bool = True) -> Callable:
        """Makes a method answer with the status of its RequestError; other errors show nothing of the inside.

        Args:
          method: takes the bytes of a request and a context.
          takes_turn: False for one that may last for ever.
        """
        turns = self._turns if takes_turn else contextlib.nullcontext()

        async def call(raw: bytes, context: grpc.aio.ServicerContext) -> Any:
            try:
                self._rates.count(context.peer())
                async with turns:
                    return await method(raw, context)
            except RequestError as error:
                await context.abort(error.code, str(error)[:_MAX_DETAILS])
            except Exception:
                _log.exception("%s failed", method.__name__)
                await context.abort(grpc.StatusCode.INTERNAL, INTERNAL_ERROR)

        return call
