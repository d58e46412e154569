"""Rate limit for log messages: once an hour across all processes of the server."""

import mmap
import struct
import time
from collections.abc import Callable

SECONDS = 3600.0
_TIME = struct.Struct("d")


class Hourly:
    """Due at the first call, then once an hour; the time is in memory that forked processes share."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due_at = mmap.mmap(-1, _TIME.size)
        self.reset()

    def reset(self) -> None:
        self._due_at[:] = _TIME.pack(0.0)

    def is_due(self) -> bool:
        """Return whether an hour has passed since the last True; if so, the next hour begins."""
        now = self._clock()
        if now < _TIME.unpack(self._due_at)[0]:
            return False
        self._due_at[:] = _TIME.pack(now + SECONDS)
        return True
