"""Say something once an hour, whichever of the server's processes comes to it first."""

import mmap
import struct
import time
from collections.abc import Callable

SECONDS = 3600.0
_MOMENT = struct.Struct("d")


class Hourly:
    """A turn that comes once an hour, in memory that this process shares with those that are forked from it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Be due at once."""
        self._clock = clock
        self._due_at = mmap.mmap(-1, _MOMENT.size)
        self.reset()

    def reset(self) -> None:
        """Be due again."""
        self._due_at[:] = _MOMENT.pack(0.0)

    def is_due(self) -> bool:
        """Tell whether the turn has come, and if so take it."""
        now = self._clock()
        if now < _MOMENT.unpack(self._due_at)[0]:
            return False
        self._due_at[:] = _MOMENT.pack(now + SECONDS)
        return True
