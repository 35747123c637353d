"""What KFP's ML Metadata has of a run, asked over gRPC-Web as KFP's page does: pods, and what the run came to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from google.protobuf import message

# Asks for a path, with a body of a content type; returns what came back.
Post = Callable[[str, bytes, str], bytes]
_SERVICE = "/ml_metadata.MetadataStoreService"
_CONTENT = "application/grpc-web+proto"
_HEADER = 5  # Bytes before each frame: a flag, and its length.
_TRAILERS = 0x80  # Flag of the frame that ends an answer.
_RUN_TYPE, _METRICS_TYPE = "system.PipelineRun", "system.Metrics"


class Recorded(NamedTuple):
    """What is known of a run.

    Attributes:
      pods: by task.
      figures: of the run's `system.Metrics` artifact; {} before there is one.
    """

    pods: dict[str, str] = {}
    figures: dict[str, Any] = {}


def read(run_id: str, post: Post) -> Recorded:
    """What is recorded of a run; nothing where it is not known.

    Raises:
      ValueError: the answer is not ML Metadata's.
    """
    context = _ask(post, "GetContextByTypeAndName", type_name=_RUN_TYPE, context_name=run_id).context
    if not context.id:
        return Recorded()
    executions = _ask(post, "GetExecutionsByContext", context_id=context.id).executions
    artifacts = _ask(post, "GetArtifactsByContext", context_id=context.id).artifacts
    pods = [(one.custom_properties["task_name"], one.custom_properties["pod_name"]) for one in executions]
    metrics = [_values(one.custom_properties) for one in artifacts if one.type == _METRICS_TYPE]
    return Recorded(
        {task.string_value: pod.string_value for task, pod in pods if pod.string_value}, metrics[-1] if metrics else {}
    )


def _values(properties: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("value")) for name, value in properties.items()}


def _ask(post: Post, method: str, **asked: Any) -> Any:
    """A method's answer to a request with these fields; it is empty where nothing is found."""
    from ml_metadata.proto import metadata_store_service_pb2 as pb

    request, answer = getattr(pb, f"{method}Request")(**asked), getattr(pb, f"{method}Response")()
    came = post(f"{_SERVICE}/{method}", frame(request.SerializeToString()), _CONTENT)
    for data in _frames(came):
        try:
            answer.ParseFromString(data)
        except message.DecodeError as error:
            raise ValueError("not an answer of ML Metadata") from error
    return answer


def frame(body: bytes, flag: int = 0) -> bytes:
    """A message as gRPC-Web sends it."""
    return bytes([flag]) + len(body).to_bytes(_HEADER - 1, "big") + body


def _frames(came: bytes) -> Iterator[bytes]:
    """The messages of an answer, without its trailers."""
    while came:
        flag, end = came[0], _HEADER + int.from_bytes(came[1:_HEADER], "big")
        if len(came) < end or flag not in (0, _TRAILERS):
            raise ValueError("not an answer in gRPC-Web")
        if not flag:
            yield came[_HEADER:end]
        came = came[end:]
