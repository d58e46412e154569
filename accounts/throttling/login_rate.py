"""Bound how often a client asks for a login or a token: counted by network and minute, in the memory of each process.

A guesser is slowed down elsewhere (`throttle`). Here it is about the work that each request is, right or
wrong, with a password or without: a signature, a line of the log, a look at the database.
"""

import logging
import math
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest

from accounts.throttling.throttle import network_of

WINDOW_SECONDS = 60.0
# Two megabytes. Whoever asks from more networks within a minute is held by no bound on one of them.
MAX_NETWORKS = 10_000

logger = logging.getLogger(__name__)


class LoginRate:
    """The requests of the current minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends_at = 0.0
        self._counts: dict[str, int] = {}

    def count(self, request: HttpRequest) -> None:
        """Count a request of its client."""
        self._begin_minute()
        counts, network = self._counts, network_of(request)
        if network and (network in counts or len(counts) < MAX_NETWORKS):
            counts[network] = counts.get(network, 0) + 1
            if counts[network] == settings.REGISTRY.server.limits.logins_per_minute:
                logger.warning(
                    "logins of a client are refused until the minute is over: it has had "
                    "server.limits.logins_per_minute; raise it for a large fleet behind one address, or list the proxy "
                    "that the address belongs to in server.trusted_proxies",
                    extra={"client": network},
                )

    def wait_seconds(self, request: HttpRequest) -> int:
        """Return for how many seconds the client is to wait, since it has had its share; 0: go on."""
        limit, network = settings.REGISTRY.server.limits.logins_per_minute, network_of(request)
        # On a unix socket everybody would be one client.
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
