"""Where requests wait for a password check: a bounded queue, of which no network takes more than a share.

bcrypt at cost 10 takes 59 ms of CPU. More of it at once than there are cores makes every login slower, and every other
request with them; a queue without bound is one that guessers fill.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from accounts.waiting import waiting


class BusyError(Exception):
    """Too many passwords are being checked; asking again in a moment helps."""


class PasswordQueue:
    """At most `cores` passwords are checked at once; `length` requests wait or compute, `share` of one network."""

    def __init__(self, cores: int, length: int, share: int) -> None:
        self._cores = threading.BoundedSemaphore(cores)
        self._length = length
        self._share = share
        self._lock = threading.Lock()
        self._of_network: Counter[str] = Counter()

    @contextmanager
    def place(self, network: str, seconds: float) -> Iterator[None]:
        """Wait up to `seconds` for a core. Raises BusyError, at once when the queue or the network's share is full."""
        self._enter(network)
        try:
            with waiting():
                if not self._cores.acquire(timeout=seconds):
                    raise BusyError
                try:
                    yield
                finally:
                    self._cores.release()
        finally:
            self._leave(network)

    def _enter(self, network: str) -> None:
        with self._lock:
            if self._of_network[network] >= self._share or self._of_network.total() >= self._length:
                raise BusyError
            self._of_network[network] += 1

    def _leave(self, network: str) -> None:
        with self._lock:
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]
