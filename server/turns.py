"""Who has spoken and waits for a thread: clients take turns, whatever number of connections each of them has."""

from collections import deque
from typing import Generic, TypeVar

Speaker = TypeVar("Speaker")


class Turns(Generic[Speaker]):
    """Queues, one for each client; one thread at a time calls this."""

    def __init__(self) -> None:
        """Have nobody wait."""
        # In the order in which the clients' turns come.
        self._queues: dict[str, deque[Speaker]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, client: str, speaker: Speaker) -> None:
        """Let `speaker` wait behind the others of its client."""
        self._queues.setdefault(client, deque()).append(speaker)

    def take(self) -> Speaker:
        """Return the oldest of the client whose turn it is."""
        client = next(iter(self._queues))
        queue = self._queues.pop(client)
        speaker = queue.popleft()
        if queue:
            self._queues[client] = queue
        return speaker
