"""How often one client may ask."""

from __future__ import annotations

import re
import time

from serving.codec.errors import exhausted

_NOT_ADDRESS = re.compile(r"^ipv[46]:|:\d+$")
_FORGET_SECONDS = 60


class Rates:
    """Limits the requests of each client, known by its address.

    A client may ask as often at once as it may in a second.

    Args:
      per_second: requests; 0 for any number.
    """

    def __init__(self, per_second: float):
        self._per_second = per_second
        self._used: dict[str, tuple[float, float]] = {}  # Requests that count still, and when that was so.
        self._forgot = time.monotonic()

    def count(self, peer: str) -> None:
        """Counts a request of an address, as HTTP or gRPC says it. Raises RequestError if it is one too many."""
        if not self._per_second:
            return
        now = time.monotonic()
        client = _NOT_ADDRESS.sub("", peer)
        used, then = self._used.get(client, (0.0, now))
        used = max(0.0, used - (now - then) * self._per_second)
        if used + 1 > max(self._per_second, 1):
            raise exhausted(f"More than {self._per_second:g} requests a second from {client}")
        self._used[client] = (used + 1, now)
        if now - self._forgot > _FORGET_SECONDS:
            self._used = {name: use for name, use in self._used.items() if now - use[1] < _FORGET_SECONDS}
            self._forgot = now
