"""Who waits for a password check, in which order, and who loses a place."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from accounts.throttling.password_queue import BusyError, PasswordQueue

HOME, OFFICE, THIRD = "192.0.2.1", "198.51.100.1", "203.0.113.1"
LONG = 60.0


class Crowd:
    """Threads that log in, and what became of each."""

    def __init__(self, queue: PasswordQueue) -> None:
        self.queue = queue
        self.ends: list[str] = []
        self._threads: list[threading.Thread] = []

    def wait(self, network: str, name: str = "") -> None:
        """Begin a login, and return once it waits in the queue."""
        before = self._waiting()
        thread = threading.Thread(target=self._log_in, args=(network, name or network), daemon=True)
        self._threads.append(thread)
        thread.start()
        self.until(lambda: self._waiting() == before + 1)

    def refuse(self, network: str, name: str = "") -> None:
        """Begin a login by which one is refused, it or another, and return once that has happened."""
        before = len(self.ends)
        thread = threading.Thread(target=self._log_in, args=(network, name or network), daemon=True)
        self._threads.append(thread)
        thread.start()
        self.until(lambda: len(self.ends) == before + 1)

    def join(self) -> list[str]:
        """Wait until all have ended, and tell how, in that order."""
        for thread in self._threads:
            thread.join(LONG)
        return self.ends

    def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what another thread does, and fail when it never comes."""
        ends_at = time.monotonic() + LONG
        while not is_so():
            assert time.monotonic() < ends_at
            time.sleep(0.001)

    def _waiting(self) -> int:
        return sum(len(waits) for waits in self.queue._waits.values())

    def _log_in(self, network: str, name: str) -> None:
        try:
            with self.queue.place(network, LONG):
                # Within the place: the next one has not begun yet.
                self.ends.append(name)
        except BusyError:
            self.ends.append(f"{name} refused")


@pytest.fixture
def queue() -> PasswordQueue:
    return PasswordQueue(cores=1, length=5)


@pytest.fixture
def crowd(queue: PasswordQueue) -> Iterator[Crowd]:
    yield Crowd(queue)
    # Whoever came and went has left nothing behind.
    assert (queue._free_cores, queue._free_places, queue._waits) == (1, 5, {})


def test_one_network_fills_the_queue_while_nobody_else_logs_in(queue: PasswordQueue, crowd: Crowd) -> None:
    with queue.place(HOME, 0):
        for _ in range(4):
            crowd.wait(HOME)
        crowd.refuse(HOME, "the sixth")

    assert crowd.join() == ["the sixth refused", *[HOME] * 4]


def test_who_comes_from_another_network_takes_the_newest_place_of_it(queue: PasswordQueue, crowd: Crowd) -> None:
    with queue.place(HOME, 0):
        for number in range(4):
            crowd.wait(HOME, f"home {number}")
        crowd.refuse(OFFICE)

    assert crowd.join() == ["home 3 refused", "home 0", OFFICE, "home 1", "home 2"]


def test_networks_take_turns_however_many_logins_of_one_wait(queue: PasswordQueue, crowd: Crowd) -> None:
    with queue.place(HOME, 0):
        for number in range(3):
            crowd.wait(HOME, f"home {number}")
        crowd.wait(OFFICE)

    assert crowd.join() == ["home 0", OFFICE, "home 1", "home 2"]


def test_who_has_the_share_takes_no_place_of_one_who_has_more() -> None:
    queue = PasswordQueue(cores=1, length=9)
    crowd = Crowd(queue)

    with queue.place(HOME, 0):
        for network in [HOME] * 4 + [OFFICE] * 3 + [THIRD]:
            crowd.wait(network)
        crowd.refuse(OFFICE, "the fourth")

    assert sorted(crowd.join()) == sorted(["the fourth refused", *[HOME] * 4, *[OFFICE] * 3, THIRD])


def test_who_has_no_more_than_the_share_loses_no_place(queue: PasswordQueue, crowd: Crowd) -> None:
    networks = [HOME, OFFICE, THIRD, "2001:db8::"]

    with queue.place(HOME, 0):
        for network in networks:
            crowd.wait(network)
        crowd.refuse("2001:db8:1::")

    assert crowd.join() == ["2001:db8:1:: refused", *networks]


def test_clients_behind_a_unix_socket_are_no_network_and_lose_no_place(queue: PasswordQueue, crowd: Crowd) -> None:
    with queue.place("", 0):
        for _ in range(4):
            crowd.wait("")
        crowd.refuse(HOME)

    assert crowd.join() == [f"{HOME} refused", *[""] * 4]


def test_who_gives_up_leaves_the_place_to_others(queue: PasswordQueue, crowd: Crowd) -> None:
    with queue.place(HOME, 0):
        for _ in range(10):
            with pytest.raises(BusyError), queue.place(HOME, 0):
                pytest.fail("a second core")
        crowd.wait(OFFICE)

    assert crowd.join() == [OFFICE]


def test_a_fault_within_a_place_gives_it_back(queue: PasswordQueue) -> None:
    for _ in range(10):
        with pytest.raises(ZeroDivisionError), queue.place(HOME, 0):
            raise ZeroDivisionError

    with queue.place(OFFICE, 0):
        pass
