"""Where requests wait for a password check: a bounded queue, in which networks take turns.

bcrypt at cost 10 takes 59 ms of CPU. More of it at once than there are cores makes every login slower, and every other
request with them; a queue without bound is one that guessers fill.

    a place is free                              ──> whoever asks takes it, of whatever network
    none is, and a network asks that has less
      than its share while another has more      ──> the one with the most loses its newest wait
    none is, otherwise                           ──> refused
    a core is free                               ──> the next network's oldest wait takes it

So a fleet behind one address uses the whole queue while nobody else logs in, and holds nobody else up.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from core.blocking import blocking_io


class BusyError(Exception):
    """Too many passwords are being checked; asking again in a moment helps."""


class _Wait:
    """A request that waits for a core."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.has_core = False

    def end(self, *, has_core: bool) -> None:
        self.has_core = has_core
        self.is_over.set()


class PasswordQueue:
    """At most `cores` passwords are checked at once; `length` requests wait or compute."""

    def __init__(self, cores: int, length: int) -> None:
        self._free_cores = cores
        self._free_places = length
        self._length = length
        self._lock = threading.Lock()
        # Of each network the oldest first; the networks in the order in which they get a core.
        self._waits: dict[str, deque[_Wait]] = {}

    @contextmanager
    def place(self, network: str, seconds: float) -> Iterator[None]:
        """Wait up to `seconds` for a core. Raises BusyError, at once when the queue has no place for `network`.

        An empty network is one whose clients can't be told apart: it has no share, and loses no wait.
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
            elif not self._is_yielded_to(network):
                raise BusyError
            if self._free_cores:
                self._free_cores -= 1
                wait.end(has_core=True)
            else:
                self._waits.setdefault(network, deque()).append(wait)
        return wait

    def _is_yielded_to(self, network: str) -> bool:
        """Take the place of another network's newest wait; tell whether one had to give it."""
        own = len(self._waits.get(network, ()))
        share = max(1, self._length // (len(self._waits) + (not own)))
        others = {name: waits for name, waits in self._waits.items() if name and name != network}
        if own >= share or not others:
            return False
        greediest = max(others, key=lambda name: len(others[name]))
        if len(others[greediest]) <= share:
            return False
        newest = others[greediest].pop()
        newest.end(has_core=False)
        return True

    def _leave(self, network: str, wait: _Wait) -> None:
        """Give back what the wait has: place and core, the place alone, or nothing since another network took it."""
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
        """Give a core to the network whose turn it is."""
        if not self._waits:
            self._free_cores += 1
            return
        network = next(iter(self._waits))
        waits = self._waits.pop(network)
        waits.popleft().end(has_core=True)
        if waits:
            self._waits[network] = waits
