"""A client of the recommender's server, over REST or gRPC."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from serving.errors import ServingError

_BATCH = 256
HISTORY_WIDTH = 100  # Of every request: TensorFlow Serving joins requests into a batch only if they are equally wide.
_LOOPBACK = ("127.0.0.1", "localhost")  # Never asked through a proxy, whatever the environment says.
_QUERY = ("user_id", "timestamp", "history_item_id", "history_timestamp")  # Inputs of `recommend` of every model.
PAUSES_SECONDS = (0.2, 0.4)  # Before the second and the third attempt.


class Recommendation(NamedTuple):
    """One entry of a recommended list."""

    item_id: str
    title: str
    score: float


class _Transport(Protocol):
    def input_types(self, signature: str) -> dict[str, str]: ...

    def call(self, signature: str, inputs: dict[str, list]) -> dict[str, list]: ...

    def close(self) -> None: ...


class Unavailable(ServingError):
    """The server cannot be reached, or is not ready. The only error that is tried again."""


class Client:
    """Asks a server for recommendations.

    Use it as a context manager.

    Args:
      host: of the server.
      port: its gRPC or REST port.
      use_grpc: which of the two it is.
      model_name: the model's name there.
      timeout_seconds: for each request.
      pauses_seconds: how long to wait before each further attempt where the server is unavailable.
    """

    def __init__(
        self,
        host: str,
        port: int,
        use_grpc: bool,
        model_name: str = "recommender",
        timeout_seconds: float = 10.0,
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    ):
        transport = _Grpc if use_grpc else _Rest
        self._transport: _Transport = transport(host, port, model_name, timeout_seconds)
        self._pauses_seconds = pauses_seconds

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()

    def recommend(
        self,
        user_ids: Sequence[str],
        histories: Sequence[Sequence[str]] | None = None,
        k: int | None = None,
        context: Mapping[str, Sequence[str | float]] | None = None,
    ) -> list[list[Recommendation]]:
        """A list for each user, best first; a list that ran short is shorter than the others.

        Args:
          user_ids: "" for an unknown user.
          histories: ids of the items that each user has just had, most recent first. Without it, and without a context,
            the model uses what it knows of each user.
          k: number of recommendations; as many as the served model gives if left out.
          context: by name of the model's context features, the value for each user; others are unknown.

        Raises:
          Unavailable: no answer after a few attempts.
          ServingError: the server refused the request, the model has no such context, or it does not give so many
            recommendations.
        """
        lists = []
        context = context or {}
        for start in range(0, len(user_ids), _BATCH):
            users = list(user_ids[start : start + _BATCH])
            if histories is None and not context:
                outputs = self.call("serving_default", {"user_id": users})
            else:
                some = [[]] * len(users) if histories is None else histories[start : start + _BATCH]
                given = {name: list(values[start : start + _BATCH]) for name, values in context.items()}
                outputs = self.call("recommend", _queries(users, some) | self._in_context(given, len(users)))
            rows = list(zip(outputs["item_id"], outputs["title"], outputs["score"], strict=True))
            served = len(rows[0][0])
            if k is not None and k > served:
                raise ServingError(
                    f"the served model gives {served} recommendations at most, not {k}: ask for fewer, or, if the "
                    "catalogue has more items, set index.recommendations and run the pipeline again"
                )
            lists += [[Recommendation(*entry) for entry in zip(*row, strict=True) if entry[0]][:k] for row in rows]
        return lists

    def _in_context(self, given: dict[str, list], users: int) -> dict[str, list]:
        """The inputs of `recommend` that are this model's own, unknown where not given."""
        types = self._retried(lambda: self._transport.input_types("recommend"))
        own = {name: kind for name, kind in types.items() if name not in _QUERY}
        if wrong := [name for name in given if name not in own]:
            known = ", ".join(own) or "none"
            raise ServingError(f"the served model has no context feature {wrong[0]!r}; it has {known}")
        numbers = {name for name, kind in own.items() if kind != "DT_STRING"}
        try:
            typed = {name: [*map(float, of)] if name in numbers else of for name, of in given.items()}
        except ValueError as error:
            raise ServingError(f"a context feature of the served model is a number: {error}") from error
        return {name: [math.nan if name in numbers else ""] * users for name in own} | typed

    def call(self, signature: str, inputs: dict[str, list]) -> dict[str, list]:
        """Calls any signature: nested lists by input name in, nested lists by output name out.

        Raises:
          Unavailable: no answer after a few attempts.
          ServingError: the server refused the request.
        """
        return self._retried(lambda: self._transport.call(signature, inputs))

    def _retried(self, ask: Callable[[], dict]) -> dict:
        for pause in self._pauses_seconds:
            try:
                return ask()
            except Unavailable:
                time.sleep(pause)
        return ask()


def _queries(users: list[str], histories: Sequence[Sequence[str]]) -> dict[str, list]:
    """Inputs of `recommend`: timestamp 0 for now, and histories whose times are unknown."""
    width = max(HISTORY_WIDTH, *map(len, histories))
    return {
        "user_id": users,
        "timestamp": [0] * len(users),
        "history_item_id": [[*history, *[""] * (width - len(history))] for history in histories],
        "history_timestamp": [[0] * width] * len(users),
    }


class _Rest:
    """Takes the inputs' types from the served model's metadata, which it reads once."""

    def __init__(self, host: str, port: int, model_name: str, timeout_seconds: float):
        import requests

        self._requests = requests
        self._session = requests.Session()
        self._session.trust_env = host not in _LOOPBACK
        self._address = f"{host}:{port}"
        self._url = f"http://{self._address}/v1/models/{model_name}"
        self._timeout_seconds = timeout_seconds
        self._signatures: dict[str, Any] = {}

    def input_types(self, signature: str) -> dict[str, str]:
        if not self._signatures:
            metadata = self._ask("GET", f"{self._url}/metadata")["metadata"]
            self._signatures = metadata["signature_def"]["signature_def"]
        return {name: info["dtype"] for name, info in self._signatures.get(signature, {"inputs": {}})["inputs"].items()}

    def call(self, signature: str, inputs: dict[str, list]) -> dict[str, list]:
        body = json.dumps({"signature_name": signature, "inputs": inputs})  # NaN is NaN, which requests refuses.
        return self._ask("POST", f"{self._url}:predict", data=body)["outputs"]

    def _ask(self, method: str, url: str, **body: Any) -> dict[str, Any]:
        try:
            response = self._session.request(method, url, timeout=self._timeout_seconds, **body)
        except self._requests.ConnectionError as error:
            raise Unavailable(_unreachable("REST", self._address)) from error
        except self._requests.Timeout as error:
            raise ServingError(f"no answer from {self._address} within {self._timeout_seconds} s") from error
        if response.status_code == 503:
            raise Unavailable(f"{self._address} is not ready: {_message(response)}")
        if not response.ok:
            raise ServingError(f"{self._address} answered {response.status_code}: {_message(response)}")
        return response.json()

    def close(self) -> None:
        self._session.close()


def _message(response: Any) -> str:
    try:
        return response.json()["error"]
    except (ValueError, KeyError, TypeError):
        return response.text[:200]


class _Grpc:
    """Takes the inputs' dtypes from the served model's metadata, which it reads once."""

    def __init__(self, host: str, port: int, model_name: str, timeout_seconds: float):
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self._grpc = grpc
        self._address = f"{host}:{port}"
        self._channel = grpc.insecure_channel(
            self._address,
            [("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", int(host not in _LOOPBACK))],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model_name = model_name
        self._timeout_seconds = timeout_seconds
        self._dtypes: dict[str, dict[str, int]] = {}  # TensorFlow's numbers, by signature and input.

    def input_types(self, signature: str) -> dict[str, str]:
        from tensorflow.core.framework import types_pb2

        return {name: types_pb2.DataType.Name(number) for name, number in self._dtypes_of(signature).items()}

    def _dtypes_of(self, signature: str) -> dict[str, int]:
        if signature not in self._dtypes:
            self._dtypes = self._read_dtypes()
        return self._dtypes.get(signature, {})

    def call(self, signature: str, inputs: dict[str, list]) -> dict[str, list]:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        dtypes = self._dtypes_of(signature)
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = signature
        for name, values in inputs.items():  # A name that the signature lacks is sent too: the server's error says so.
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtypes.get(name)))
        response = self._ask(self._stub.Predict, request)
        return {name: _to_lists(tf.make_ndarray(proto)) for name, proto in response.outputs.items()}

    def _read_dtypes(self) -> dict[str, dict[str, int]]:
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._model_name
        signatures = get_model_metadata_pb2.SignatureDefMap()
        self._ask(self._stub.GetModelMetadata, request).metadata["signature_def"].Unpack(signatures)
        return {
            name: {key: info.dtype for key, info in signature.inputs.items()}
            for name, signature in signatures.signature_def.items()
        }

    def _ask(self, method: Callable, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout_seconds)
        except self._grpc.RpcError as error:
            if error.code() == self._grpc.StatusCode.UNAVAILABLE:
                raise Unavailable(f"{_unreachable('gRPC', self._address)} ({error.details()})") from error
            raise ServingError(f"{self._address} answered {error.code().name}: {error.details()}") from error

    def close(self) -> None:
        self._channel.close()


def _to_lists(array: Any) -> list:
    if array.dtype != object:
        return array.tolist()
    return [_to_lists(row) if hasattr(row, "tolist") else row.decode() for row in array]


def _unreachable(protocol: str, address: str) -> str:
    return f"no server answers {protocol} on {address}: start one with `recommender serve`, or give its host and port"
