"""What goes over the wire: REST and gRPC of TensorFlow Serving, without any input or output.

A protocol's methods are generators. They yield a message to send, get the answer, and return what it means; so a client
that waits and one that does not share them.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any, NamedTuple

from serving.errors import ServingError, Unavailable

Inputs = dict[str, list]  # Nested lists by name; as are outputs.
Types = dict[str, str]  # TensorFlow's names of types by input.
Steps = Generator[Any, Any, Any]

_MAX_SHOWN = 200  # Characters of an answer that is no message.


class Signatures(NamedTuple):
    """What a served version says of itself.

    Attributes:
      version: its number.
      inputs: types by signature and input.
      outputs: names by signature.
    """

    version: int
    inputs: dict[str, Types]
    outputs: dict[str, list[str]]


class RestRequest(NamedTuple):
    """A request of HTTP, whose answer is the body of status 200."""

    method: str
    path: str
    body: str | None = None


class Rest:
    """Messages over REST.

    Args:
      model_name: the name in requests.
      where: `/versions/N`, `/labels/NAME`, or "" for the newest version.
    """

    def __init__(self, model_name: str, where: str = ""):
        self._path = f"/v1/models/{model_name}{where}"
        self._signatures: Signatures | None = None

    def signatures(self) -> Steps:
        """Steps to the version's Signatures, which are read once."""
        if self._signatures is None:
            found = json.loads((yield RestRequest("GET", f"{self._path}/metadata")))
            described = found["metadata"]["signature_def"]["signature_def"]
            self._signatures = Signatures(
                int(found["model_spec"]["version"]),
                {
                    name: {key: info["dtype"] for key, info in signature["inputs"].items()}
                    for name, signature in described.items()
                },
                {name: list(signature["outputs"]) for name, signature in described.items()},
            )
        return self._signatures

    def call(self, signature: str, inputs: Inputs) -> Steps:
        """Steps to the outputs of a signature."""
        body = json.dumps({"signature_name": signature, "inputs": inputs})  # NaN is NaN, as TensorFlow Serving reads.
        outputs = json.loads((yield RestRequest("POST", f"{self._path}:predict", body)))["outputs"]
        if isinstance(outputs, dict):
            return outputs
        (name,) = (yield from self.signatures()).outputs[signature]  # REST does not name an only output.
        return {name: outputs}


def rest_body(address: str, status: int, text: str) -> str:
    """The body of an answer. Raises Unavailable or ServingError where its status is not 200."""
    if status == 200:
        return text
    try:
        message = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        message = text[:_MAX_SHOWN]
    if status == 503:
        raise Unavailable(f"{address} is not ready: {message}")
    raise ServingError(f"{address} answered {status}: {message}")


class GrpcRequest(NamedTuple):
    """A call of the PredictionService."""

    method: str
    message: Any
    answer: Any  # The class of the answer.


class Grpc:
    """Messages over gRPC, as `Rest`."""

    def __init__(self, model_name: str):
        from serving import messages

        self._messages = messages
        self._model_name = model_name
        self._signatures: Signatures | None = None

    def signatures(self) -> Steps:
        """As of `Rest`."""
        if self._signatures is None:
            messages = self._messages
            request = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
            request.model_spec.name = self._model_name
            found = yield GrpcRequest("GetModelMetadata", request, messages.GetModelMetadataResponse)
            described = messages.SignatureDefMap.FromString(found.metadata["signature_def"].value).signature_def
            names = {number: name for name, number in messages.DTYPES.items()}
            self._signatures = Signatures(
                found.model_spec.version.value,
                {
                    name: {key: names.get(info.dtype, str(info.dtype)) for key, info in signature.inputs.items()}
                    for name, signature in described.items()
                },
                {name: list(signature.outputs) for name, signature in described.items()},
            )
        return self._signatures

    def call(self, signature: str, inputs: Inputs) -> Steps:
        """As of `Rest`; the inputs' dtypes are those of the signature."""
        messages = self._messages
        types = (yield from self.signatures()).inputs.get(signature, {})
        request = messages.PredictRequest()
        request.model_spec.name = self._model_name
        request.model_spec.signature_name = signature
        for name, values in inputs.items():  # A name that the signature lacks is sent too: the server's error says so.
            try:
                messages.fill_tensor(request.inputs[name], values, messages.DTYPES.get(types.get(name, "")))
            except (TypeError, ValueError, AttributeError) as error:
                raise ServingError(f"input {name!r} of {signature}: {error}") from error
        response = yield GrpcRequest("Predict", request, messages.PredictResponse)
        return {name: messages.tensor_lists(proto) for name, proto in response.outputs.items()}


def grpc_error(address: str, error: Any) -> ServingError:
    """What an RpcError means."""
    if error.code().name in ("UNAVAILABLE", "CANCELLED"):  # A server cancels what reaches it as it stops.
        return Unavailable(f"{unreachable('gRPC', address)} ({error.details()})")
    return ServingError(f"{address} answered {error.code().name}: {error.details()}")


def unreachable(protocol: str, address: str) -> str:
    """Says that nothing answers at an address, and what to do."""
    return f"no server answers {protocol} on {address}: start one with `recommender serve`, or give its host and port"
