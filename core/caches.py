"""Process-local caches of bounded size; strings from a client need a bounded length before they become keys.

cachetools was measured (8.0.2, Python 3.11): its TTLCache reorders keys at each read, so a read needs a lock and takes
3 to 7 µs; here it needs none and takes 0.2 µs. Every pull reads several of these caches.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from core.metrics.catalog import CACHE_LOOKUPS

Value = TypeVar("Value")

_MISSING = object()


class VersionedCache(Generic[Value]):
    """Values of one version; the first read with another version clears the cache."""

    def __init__(self, limit: int = 10_000, *, name: str = "other") -> None:
        """Hold at most `limit` values: a full cache is cleared. Metrics count lookups by `name`."""
        self._limit = limit
        self._hits, self._misses = CACHE_LOOKUPS.labels(name, "hit"), CACHE_LOOKUPS.labels(name, "miss")
        self._state: tuple[str, dict[object, Value]] = ("", {})

    def get(self, version: str, key: object, make: Callable[[], Value]) -> Value:
        """Return the cached value of `key` at `version`; otherwise call `make` and cache its result."""
        cached_version, values = self._state
        if cached_version != version or len(values) >= self._limit:
            values = {}
            self._state = (version, values)
        found = values.get(key, _MISSING)
        if found is _MISSING:
            self._misses.add()
            values[key] = made = make()
            return made
        self._hits.add()
        return found  # type: ignore[return-value]  # the sentinel was excluded above


class TTLCache(Generic[Value]):
    """Values that expire `seconds` after they were put, with a total weight of at most `limit`.

    Each put removes the expired values: otherwise keys that nobody reads again fill the cache.
    """

    def __init__(self, seconds: float, limit: int = 10_000, *, name: str = "other") -> None:
        self._seconds = seconds
        self._limit = limit
        self._hits, self._misses = CACHE_LOOKUPS.labels(name, "hit"), CACHE_LOOKUPS.labels(name, "miss")
        # Oldest first. A dict would skip all removed entries to find its first key.
        self._values: OrderedDict[object, tuple[float, Value, int]] = OrderedDict()
        self._weight = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> Value | None:
        """Return the value of `key`, None when it is missing or expired."""
        found = self._values.get(key)
        if found is None or found[0] < time.monotonic():
            self._misses.add()
            return None
        self._hits.add()
        return found[1]

    def put(self, key: object, value: Value, weight: int = 1) -> None:
        """Store `value` and remove expired values; if it still does not fit, clear the cache first."""
        with self._lock:
            now = time.monotonic()
            self._remove_expired(now)
            # The old entry stays in place meanwhile, since readers take no lock.
            _, _, replaced = self._values.get(key, (0, None, 0))
            if self._weight - replaced + weight > self._limit:
                self._values, self._weight, replaced = OrderedDict(), 0, 0
            self._values[key] = (now + self._seconds, value, weight)
            self._values.move_to_end(key)
            self._weight += weight - replaced

    def clear(self) -> None:
        with self._lock:
            self._values, self._weight = OrderedDict(), 0

    def _remove_expired(self, now: float) -> None:
        # The caller holds the lock.
        while self._values:
            oldest = next(iter(self._values))
            expires_at, _, weight = self._values[oldest]
            if expires_at >= now:
                return
            del self._values[oldest]
            self._weight -= weight
