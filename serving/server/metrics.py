"""Prometheus metrics under the names of TensorFlow Serving."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import grpc
import prometheus_client

from serving.codec.errors import RequestError

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_MICROSECONDS = [10 * 1.8**n for n in range(33)]  # TensorFlow Serving's own.
_ROWS = [2**n for n in range(14)]
_COUNT = ":tensorflow:serving:request_count"


@dataclass
class Seen:
    """What is known of a request while it is counted."""

    model_name: str


class Metrics:
    """Counts and times the requests of a server, and the rows of its batches.

    Args:
      names: returns the names of the models. Any other name that a client sends is counted under "".
    """

    def __init__(self, names: Callable[[], Collection[str]]):
        self._names = names
        prometheus_client.disable_created_metrics()
        self._registry = prometheus_client.CollectorRegistry()
        count = prometheus_client.Counter(
            _COUNT, "The total number of requests.", ["model_name", "status"], registry=self._registry
        )
        latency = prometheus_client.Histogram(
            ":tensorflow:serving:request_latency",
            "Distribution of wall time in microseconds.",
            ["model_name", "API", "entrypoint"],
            buckets=_MICROSECONDS,
            registry=self._registry,
        )
        rows = prometheus_client.Histogram(
            ":tensorflow:serving:batching:processed_batch_size",
            "Distribution of rows in the batches that the model got.",
            buckets=_ROWS,
            registry=self._registry,
        )
        self._count, self._latency = functools.cache(count.labels), functools.cache(latency.labels)
        self.batch = rows.observe

    @contextlib.contextmanager
    def request(self, api: str, entrypoint: str, model_name: str = "") -> Iterator[Seen]:
        """Counts and times the body of the `with` as one request, for the model that it says it is for."""
        started = time.perf_counter()
        status = grpc.StatusCode.CANCELLED
        seen = Seen(model_name)
        try:
            yield seen
            status = grpc.StatusCode.OK
        except RequestError as error:
            status = error.code
            raise
        except Exception:
            status = grpc.StatusCode.INTERNAL
            raise
        finally:
            name = seen.model_name if seen.model_name in self._names() else ""
            self._count(name, status.name).inc()
            self._latency(name, api, entrypoint).observe((time.perf_counter() - started) * 1e6)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format. TensorFlow Serving's counters have no `_total` in their names."""
        return prometheus_client.generate_latest(self._registry).replace(f"{_COUNT}_total".encode(), _COUNT.encode())
