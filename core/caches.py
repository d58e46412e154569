"""Process-local memory with bounds: what was worked out once need not be worked out for each request.

What a stranger chooses becomes a key, or part of a value, once it is known to be of bounded length.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")

_MISSING = object()


class PerEpoch(Generic[Value]):
    """Values that hold for one rights epoch; the first question of another epoch forgets them all."""

    def __init__(self, limit: int = 10_000) -> None:
        """Hold at most `limit` values; one more empties the memory."""
        self._limit = limit
        self._state: tuple[str, dict[object, Value]] = ("", {})

    def get(self, epoch: str, key: object, make: Callable[[], Value]) -> Value:
        """Return the value remembered for `key` at `epoch`, else what `make` returns, remembered."""
        held, values = self._state
        if held != epoch or len(values) >= self._limit:
            values = {}
            self._state = (epoch, values)
        found = values.get(key, _MISSING)
        if found is _MISSING:
            values[key] = made = make()
            return made
        return found  # type: ignore[return-value]  # the sentinel was excluded above


class ForAWhile(Generic[Value]):
    """Values that are forgotten `seconds` after they were put, and at the latest when their weights reach `limit`."""

    def __init__(self, seconds: float, limit: int = 10_000) -> None:
        """Remember for `seconds` of monotonic time values that weigh at most `limit` together."""
        self._seconds = seconds
        self._limit = limit
        self._values: dict[object, tuple[float, Value, int]] = {}
        self._weight = 0
        self._lock = threading.Lock()

    def get(self, key: object) -> Value | None:
        """Return what was put under `key`, None when it is unknown or too old."""
        found = self._values.get(key)
        if found is None or found[0] < time.monotonic():
            return None
        return found[1]

    def put(self, key: object, value: Value, weight: int = 1) -> None:
        """Remember `value`; when the memory is full, drop what is too old, then everything."""
        now = time.monotonic()
        with self._lock:
            _, _, replaced = self._values.get(key, (0, None, 0))
            self._weight -= replaced
            if self._weight + weight > self._limit:
                self._keep({k: v for k, v in self._values.items() if v[0] >= now and k != key})
                if self._weight + weight > self._limit:
                    self._keep({})
            self._values[key] = (now + self._seconds, value, weight)
            self._weight += weight

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._keep({})

    def _keep(self, values: dict[object, tuple[float, Value, int]]) -> None:
        self._values = values
        self._weight = sum(weight for _, _, weight in values.values())
