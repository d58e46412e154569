"""Rate limit of logins and token requests by network and minute, per process.

`throttle` limits password guesses. This limit bounds the work of requests with or without a password: a signature, a
log line, a query.
"""

import logging
import math
import time
from collections.abc import Callable

from django.conf import settings

from accounts.throttling.throttle import network_of
from core.api.notes import HasMeta

WINDOW_SECONDS = 60.0
# Two megabytes. A limit per network can't stop a client with more networks than this.
MAX_NETWORKS = 10_000

logger = logging.getLogger(__name__)


class LoginRate:
    """Fixed-window counters of the current minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = 0.0
        self._counts: dict[str, int] = {}

    def count(self, request: HasMeta) -> None:
        self._begin_minute()
        counts, network = self._counts, network_of(request)
        if network and (network in counts or len(counts) < MAX_NETWORKS):
            counts[network] = counts.get(network, 0) + 1
            if counts[network] == settings.REGISTRY.server.limits.logins_per_minute:
                logger.warning(
                    "logins of a client are refused until the minute is over: it has reached "
                    "server.limits.logins_per_minute; raise it for a large fleet behind one address, or, if the "
                    "address is a proxy's, list it in server.trusted_proxies",
                    extra={"client": network},
                )

    def wait_seconds(self, request: HasMeta) -> int:
        """Return the seconds until the client may try again, 0 within the limit."""
        limit, network = settings.REGISTRY.server.limits.logins_per_minute, network_of(request)
        # All clients of a unix socket would share one counter.
        if not limit or not network:
            return 0
        self._begin_minute()
        if self._counts.get(network, 0) < limit:
            return 0
        return max(1, math.ceil(self._ends_at - self._clock()))

    def _begin_minute(self) -> None:
        now = self._clock()
        if now >= self._ends_at:
            self._ends_at = now + WINDOW_SECONDS
            self._counts = {}


login_rate = LoginRate()
