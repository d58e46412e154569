"""Bounded caches in the memory of one process.

A string from an unauthenticated client becomes a key, or part of a value, only after its length was checked.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_MISSING = object()


class EpochCache(Generic[Value]):
    """At most `limit` values of one rights epoch: a new epoch, or one value too many, clears the cache."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._state: tuple[str, dict[object, Value]] = ("", {})

    def get(self, epoch: str, key: object, make: Callable[[], Value]) -> Value:
        """Return the cached value of `key` at `epoch`; if there is none, call `make` and cache its result."""
        cached_epoch, values = self._state
        if cached_epoch != epoch or len(values) >= self._limit:
            values = {}
            self._state = (epoch, values)
        found = values.get(key, _MISSING)
        if found is _MISSING:
            values[key] = made = make()
            return made
        return found  # type: ignore[return-value]  # the sentinel was excluded above


class TTLCache(Generic[Value]):
    """Values that expire `seconds` after they were put, and that weigh at most `limit` together.

    Each put evicts the expired values: otherwise values that nobody requests again would fill the memory.
    """

    def __init__(self, seconds: float, limit: int = 10_000) -> None:
        self._seconds = seconds
        self._limit = limit
        # By age, the oldest first; a dict would search for its first key behind all removed ones.
        self._values: OrderedDict[object, tuple[float, Value, int]] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> Value | None:
        """Return the value of `key`, None when it is missing or expired."""
        found = self._values.get(key)
        return None if found is None or found[0] < time.monotonic() else found[1]

    def put(self, key: object, value: Value, weight: int = 1) -> None:
        """Cache `value`, and evict expired values; if the cache is full even then, clear it."""
        with self._lock:
            now = time.monotonic()
            self._evict_expired(now)
            # The old value stays meanwhile: `get` takes no lock.
            _, _, replaced = self._values.get(key, (0, None, 0))
            if self._weight - replaced + weight > self._limit:
                self._values, self._weight, replaced = OrderedDict(), 0, 0
            self._values[key] = (now + self._seconds, value, weight)
            self._values.move_to_end(key)
            self._weight += weight - replaced

    def clear(self) -> None:
        with self._lock:
            self._values, self._weight = OrderedDict(), 0

    def _evict_expired(self, now: float) -> None:
        """Evict the expired values; the caller has the lock."""
        while self._values:
            oldest = next(iter(self._values))
            expires_at, _, weight = self._values[oldest]
            if expires_at >= now:
                return
            del self._values[oldest]
            self._weight -= weight
