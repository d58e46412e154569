"""How fast a request's body comes in: a byte now and then would hold a thread, and a place, for ever."""

import time
from collections.abc import Callable

MIN_BYTES_PER_SECOND = 1024
WINDOW_SECONDS = 60.0


class BodyPace:
    """Stands before a connection's reads and counts what they bring while the server waits for it.

    Only waiting counts: a server that is busy storing what it has does not make its client slow.
    """

    def __init__(self, read: Callable[..., bytes], clock: Callable[[], float] = time.monotonic) -> None:
        """Stand before `read`."""
        self._read = read
        self._clock = clock
        self._waiting_since: float | None = None
        self._waited = 0.0
        self._received = 0

    def __call__(self, size_hint: int | None = None) -> bytes:
        """Read once; the argument is gunicorn's."""
        since = self._waiting_since = self._clock()
        try:
            data = self._read(size_hint)
        finally:
            self._waiting_since = None
            self._waited += self._clock() - since
        self._received += len(data)
        return data

    def is_too_slow(self) -> bool:
        """Tell whether the server has waited for WINDOW_SECONDS and got less than the least that is acceptable."""
        since = self._waiting_since
        waited = self._waited + (self._clock() - since if since is not None else 0.0)
        if waited < WINDOW_SECONDS:
            return False
        is_slow = self._received < WINDOW_SECONDS * MIN_BYTES_PER_SECOND
        self._waited, self._received = 0.0, 0
        return is_slow
