"""Process-local memory with bounds: what was worked out once need not be worked out for each request.

What a stranger chooses becomes a key, or part of a value, once it is known to be of bounded length.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_MISSING = object()


class VersionedCache(Generic[Value]):
    """Values that hold for one permissions version; the first question of another version forgets them all."""

    def __init__(self, limit: int = 10_000) -> None:
        """Hold at most `limit` values; one more empties the memory."""
        self._limit = limit
        self._state: tuple[str, dict[object, Value]] = ("", {})

    def get(self, version: str, key: object, make: Callable[[], Value]) -> Value:
        """Return the value remembered for `key` at `version`, else what `make` returns, remembered."""
        held, values = self._state
        if held != version or len(values) >= self._limit:
            values = {}
            self._state = (version, values)
        found = values.get(key, _MISSING)
        if found is _MISSING:
            values[key] = made = make()
            return made
        return found  # type: ignore[return-value]  # the sentinel was excluded above


class TTLCache(Generic[Value]):
    """Values that are good for `seconds` after they were put, and that weigh at most `limit` together.

    The next one that is put forgets those that are too old: what nobody asks for any more would fill the memory.
    """

    def __init__(self, seconds: float, limit: int = 10_000) -> None:
        """Remember for `seconds` of monotonic time values that weigh at most `limit` together."""
        self._seconds = seconds
        self._limit = limit
        # By age, the oldest first; a dict would look for its first key behind all that were removed.
        self._values: OrderedDict[object, tuple[float, Value, int]] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> Value | None:
        """Return what was put under `key`, None when it is unknown or too old."""
        found = self._values.get(key)
        if found is None or found[0] < time.monotonic():
            return None
        return found[1]

    def put(self, key: object, value: Value, weight: int = 1) -> None:
        """Remember `value`, and forget what is too old; when the memory is full all the same, forget everything."""
        with self._lock:
            now = time.monotonic()
            self._forget_older_than(now)
            # It stays where it is meanwhile: whoever asks now takes no lock.
            _, _, replaced = self._values.get(key, (0, None, 0))
            if self._weight - replaced + weight > self._limit:
                self._values, self._weight, replaced = OrderedDict(), 0, 0
            self._values[key] = (now + self._seconds, value, weight)
            self._values.move_to_end(key)
            self._weight += weight - replaced

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values, self._weight = OrderedDict(), 0

    def _forget_older_than(self, now: float) -> None:
        """Forget the values whose time is over; the lock is held."""
        while self._values:
            oldest = next(iter(self._values))
            good_until, _, weight = self._values[oldest]
            if good_until >= now:
                return
            del self._values[oldest]
            self._weight -= weight
