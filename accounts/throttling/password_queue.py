"""Bounded fair queue for password checks: round robin over networks.

bcrypt at cost 10 takes 59 ms of CPU. More checks at once than cores slow down every request; an unbounded queue fills
with guesses.

    a place is free                              ──> the request takes it
    the queue is full, the network has less
      than its share and another one more        ──> it replaces the newest wait of the largest network
    the queue is full otherwise                  ──> BusyError
    a core is free                               ──> the oldest wait of the next network takes it

A fleet behind one address uses the whole queue while it is alone, and delays no other network.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.blocking import blocking_io


class BusyError(Exception):
    """The queue is full, or the wait was too long; the client should retry."""


@dataclass(eq=False)
class _Wait:
    """A request in the queue; it may have a core already."""

    is_over: threading.Event = field(default_factory=threading.Event)
    has_core: bool = False

    def end(self, *, has_core: bool) -> None:
        self.has_core = has_core
        self.is_over.set()


class PasswordQueue:
    """Check at most `cores` passwords at once, with `length` requests in the queue including these."""

    def __init__(self, cores: int, length: int) -> None:
        self._free_cores = cores
        self._free_places = length
        self._length = length
        self._lock = threading.Lock()
        # Networks in round-robin order, the waits of each oldest first.
        self._waits: dict[str, deque[_Wait]] = {}

    @contextmanager
    def place(self, network: str, seconds: float) -> Iterator[None]:
        """Wait up to `seconds` for a core. Raises BusyError, at once if the queue is full.

        The empty network (unix socket) has no share and loses no wait.
        """
        wait = self._enter(network)
        try:
            with blocking_io():
                wait.is_over.wait(seconds)
                if not wait.has_core:
                    raise BusyError
                yield
        finally:
            self._leave(network, wait)

    def _enter(self, network: str) -> _Wait:
        wait = _Wait()
        with self._lock:
            if self._free_places:
                self._free_places -= 1
            elif not self._evicts_another(network):
                raise BusyError
            if self._free_cores:
                self._free_cores -= 1
                wait.end(has_core=True)
            else:
                self._waits.setdefault(network, deque()).append(wait)
        return wait

    def _evicts_another(self, network: str) -> bool:
        """Evict the newest wait of the largest network for this one's; tell whether that was possible."""
        own = len(self._waits.get(network, ()))
        share = max(1, self._length // (len(self._waits) + (not own)))
        others = {name: waits for name, waits in self._waits.items() if name and name != network}
        if own >= share or not others:
            return False
        largest = max(others, key=lambda name: len(others[name]))
        if len(others[largest]) <= share:
            return False
        others[largest].pop().end(has_core=False)
        return True

    def _leave(self, network: str, wait: _Wait) -> None:
        """Release place and core of the wait, its place alone, or nothing if it was evicted."""
        with self._lock:
            if wait.has_core:
                self._free_places += 1
                self._pass_core_on()
            elif not wait.is_over.is_set():
                self._free_places += 1
                self._waits[network].remove(wait)
                if not self._waits[network]:
                    del self._waits[network]

    def _pass_core_on(self) -> None:
        """Give the core to the oldest wait of the next network."""
        if not self._waits:
            self._free_cores += 1
            return
        network = next(iter(self._waits))
        waits = self._waits.pop(network)
        waits.popleft().end(has_core=True)
        if waits:
            self._waits[network] = waits
