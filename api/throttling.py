"""Rate limit of the API by account, or by network without one, in each process and minute."""

import math
import time
from typing import Any, cast

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.identity import Identity
from accounts.throttling.throttle import network_of

WINDOW_SECONDS = 60.0
# Two megabytes; a client with more networks than this can't be limited by network.
MAX_CLIENTS = 10_000


class Minute:
    """Fixed-window counters of the current minute."""

    def __init__(self) -> None:
        self._ends_at = 0.0
        self._counts: dict[str, int] = {}

    def count(self, client: str) -> int:
        """Count a request; return how many the client has sent in this minute, 0 if nobody counts."""
        now = time.monotonic()
        if now >= self._ends_at:
            self._ends_at, self._counts = now + WINDOW_SECONDS, {}
        counts = self._counts
        if client not in counts and len(counts) >= MAX_CLIENTS:
            return 0
        counts[client] = counts.get(client, 0) + 1
        return counts[client]

    def seconds_left(self) -> int:
        """Return the seconds until the next minute begins."""
        return max(1, math.ceil(self._ends_at - time.monotonic()))

    def clear(self) -> None:
        """Begin another minute."""
        self._ends_at = 0.0


minute = Minute()


class RequestRate(BaseThrottle):
    """At most `server.limits.api_requests_per_minute`; 0 means no limit."""

    def allow_request(self, request: Request, view: Any) -> bool:
        limit = settings.REGISTRY.server.limits.api_requests_per_minute
        # All anonymous clients of a unix socket would share one counter.
        identity = cast("Identity | None", request.auth)
        client = f"account {identity.name}" if identity else network_of(request._request)
        return not limit or not client or minute.count(client) <= limit

    def wait(self) -> float:
        return minute.seconds_left()
