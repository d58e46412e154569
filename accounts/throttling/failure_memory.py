"""Failed logins that the database did not take: kept in the memory of the process, within bounds."""

import threading
from collections.abc import Callable
from datetime import datetime

# What counts whose failures: an account's name and a network.
Key = tuple[str, str]

LIMIT = 10_000


class FailureMemory:
    """When the failures of an account and network are forgiven."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._moments: dict[Key, datetime] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, otherwise: datetime) -> datetime:
        """Return the moment of `key`, and `otherwise` when that is later or nothing is known."""
        return max(self._moments.get(key, otherwise), otherwise)

    def move(self, key: Key, otherwise: datetime, moved: Callable[[datetime], datetime]) -> None:
        """Set the moment of `key` to what `moved` makes of what `get` returns."""
        with self._lock:
            moment = moved(self.get(key, otherwise))
            if len(self._moments) >= self._limit and key not in self._moments:
                # Forgiven long ago, or one failure: guesses at many accounts make no room for guesses at one.
                del self._moments[min(self._moments, key=lambda known: self._moments[known])]
            self._moments[key] = moment

    def forget(self, key: Key) -> None:
        """Forget the moment of `key`: the database knows it."""
        with self._lock:
            self._moments.pop(key, None)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._moments.clear()
