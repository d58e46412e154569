"""Failed logins that can't be stored in the database: a bounded cache in the process."""

import threading
from collections.abc import Callable
from datetime import datetime

# An account's name and a network.
Key = tuple[str, str]

LIMIT = 10_000


class FailureMemory:
    """The time when the failures of each key are forgiven; a full cache evicts the earliest time."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._times: dict[Key, datetime] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, otherwise: datetime) -> datetime:
        """Return the later of `otherwise` and the time of `key`."""
        return max(self._times.get(key, otherwise), otherwise)

    def update(self, key: Key, otherwise: datetime, moved: Callable[[datetime], datetime]) -> None:
        """Replace the time of `key` by `moved(get(key, otherwise))`."""
        with self._lock:
            time = moved(self.get(key, otherwise))
            if len(self._times) >= self._limit and key not in self._times:
                # Guesses at many accounts have few failures each, so they don't evict many guesses at one account.
                del self._times[min(self._times, key=lambda known: self._times[known])]
            self._times[key] = time

    def forget(self, key: Key) -> None:
        """Remove `key`, whose failures the database has stored."""
        with self._lock:
            self._times.pop(key, None)
