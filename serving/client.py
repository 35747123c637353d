"""A typed client of the recommender's server, over gRPC or REST, waiting or not. It needs no TensorFlow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from serving.errors import ServingError, Unavailable
from serving.protocols import Grpc, Inputs, Rest, Steps
from serving.questions import Entry, Questions, Recommendation, Time, Value
from serving.senders import (
    AsyncGrpcSender,
    AsyncRestSender,
    AsyncSender,
    GrpcSender,
    RestSender,
    Sender,
    run,
    run_async,
)

__all__ = ["AsyncRecommender", "Recommendation", "Recommender", "ServingError", "Unavailable"]

PAUSES_SECONDS = (0.2, 0.4)  # Before the second and the third attempt.
_HTTP = "http://"


class _Client:
    """What both clients are made of."""

    _SENDERS: ClassVar[tuple[type, type]]  # Over gRPC and over REST.

    def __init__(
        self,
        address: str,
        model_name: str = "recommender",
        timeout_seconds: float = 10.0,
        pauses_seconds: Sequence[float] = PAUSES_SECONDS,
    ):
        rest = address.startswith(_HTTP)
        self._sender = self._SENDERS[rest](_place(address), timeout_seconds)
        self._questions = Questions((Rest if rest else Grpc)(model_name))
        self._pauses_seconds = pauses_seconds


class Recommender(_Client):
    """Asks a server for recommendations. Use it as a context manager, or `close` it.

    Every method raises Unavailable where there is no answer after a few attempts, and ServingError where the server
    refuses, or the model does not have what is asked for.

    Args:
      address: host and port, as `localhost:8500` for gRPC or `http://localhost:8501` for REST.
      model_name: the model's name there.
      timeout_seconds: for each request.
      pauses_seconds: how long to wait before each further attempt where the server is unavailable.
    """

    _SENDERS = (GrpcSender, RestSender)
    _sender: Sender

    def __enter__(self) -> Recommender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the connection."""
        self._sender.close()

    def recommend(
        self,
        user_id: str = "",
        history: Sequence[Entry] | None = None,
        *,
        context: Mapping[str, Value] | None = None,
        timestamp: Time | None = None,
        wanted: Mapping[str, Sequence[str]] | None = None,
        exclude: Sequence[str] = (),
        k: int | None = None,
    ) -> list[Recommendation]:
        """What to recommend to a user, best first.

        Args:
          user_id: "" for an unknown user.
          history: what the user has just had, most recent first: ids, or pairs of an id and a time. Without a time it
            was now. Without a history, and all that follows, the model uses what it knows of the user.
          context: values of the model's context features; others are unknown.
          timestamp: the moment of the request; now unless given.
          wanted: for features by which the model filters, the values of which an item needs one.
          exclude: ids of items that are not to be recommended.
          k: number of recommendations; as many as the served model gives if left out.
        """
        return self._run(_of_one(self._questions, user_id, history, context, timestamp, wanted, exclude, k))[0]

    def recommend_many(
        self,
        user_ids: Sequence[str],
        histories: Sequence[Sequence[Entry]] | None = None,
        *,
        context: Mapping[str, Sequence[Value]] | None = None,
        k: int | None = None,
    ) -> list[list[Recommendation]]:
        """A list for each of many users, asked about in few requests; `context` has a value for each."""
        return self._run(self._questions.recommend(user_ids, histories, context or {}, None, {}, (), k))

    def similar(self, item_id: str, k: int | None = None) -> list[Recommendation]:
        """The items most like one; none where the model does not know it. Scores are cosines."""
        return self._run(self._questions.similar(item_id, k))

    def call(self, signature: str, inputs: Inputs) -> dict[str, list]:
        """Calls any signature: nested lists by input name in, nested lists by output name out."""
        return self._run(self._questions.protocol.call(signature, inputs))

    def _run(self, steps: Steps) -> Any:
        return run(steps, self._send)

    def _send(self, request: Any) -> Any:
        for pause in self._pauses_seconds:
            try:
                return self._sender.send(request)
            except Unavailable:
                time.sleep(pause)
        return self._sender.send(request)


class AsyncRecommender(_Client):
    """As `Recommender`, for asyncio: `async with`, and `await` each method."""

    _SENDERS = (AsyncGrpcSender, AsyncRestSender)
    _sender: AsyncSender

    async def __aenter__(self) -> AsyncRecommender:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """As of `Recommender`."""
        await self._sender.close()

    async def recommend(
        self,
        user_id: str = "",
        history: Sequence[Entry] | None = None,
        *,
        context: Mapping[str, Value] | None = None,
        timestamp: Time | None = None,
        wanted: Mapping[str, Sequence[str]] | None = None,
        exclude: Sequence[str] = (),
        k: int | None = None,
    ) -> list[Recommendation]:
        """As of `Recommender`."""
        return (await self._run(_of_one(self._questions, user_id, history, context, timestamp, wanted, exclude, k)))[0]

    async def recommend_many(
        self,
        user_ids: Sequence[str],
        histories: Sequence[Sequence[Entry]] | None = None,
        *,
        context: Mapping[str, Sequence[Value]] | None = None,
        k: int | None = None,
    ) -> list[list[Recommendation]]:
        """As of `Recommender`."""
        return await self._run(self._questions.recommend(user_ids, histories, context or {}, None, {}, (), k))

    async def similar(self, item_id: str, k: int | None = None) -> list[Recommendation]:
        """As of `Recommender`."""
        return await self._run(self._questions.similar(item_id, k))

    async def call(self, signature: str, inputs: Inputs) -> dict[str, list]:
        """As of `Recommender`."""
        return await self._run(self._questions.protocol.call(signature, inputs))

    async def _run(self, steps: Steps) -> Any:
        return await run_async(steps, self._send)

    async def _send(self, request: Any) -> Any:
        for pause in self._pauses_seconds:
            try:
                return await self._sender.send(request)
            except Unavailable:
                await asyncio.sleep(pause)
        return await self._sender.send(request)


def _place(address: str) -> str:
    place = address.removeprefix(_HTTP).rstrip("/")
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ServingError(f"{address}: expected HOST:PORT for gRPC, or http://HOST:PORT for REST")
    return place


def _of_one(
    questions: Questions,
    user_id: str,
    history: Sequence[Entry] | None,
    context: Mapping[str, Value] | None,
    timestamp: Time | None,
    wanted: Mapping[str, Sequence[str]] | None,
    exclude: Sequence[str],
    k: int | None,
) -> Steps:
    each = {name: [value] for name, value in (context or {}).items()}
    histories = None if history is None else [history]
    return questions.recommend([user_id], histories, each, timestamp, wanted or {}, exclude, k)
