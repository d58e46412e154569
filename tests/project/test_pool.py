"""The threads of a worker: so many that serve, and more for those that wait for their clients."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from threading import Barrier, Event, Lock, Semaphore

import pytest

from server.pool import CrowdedError, Pool, Wait

# Far above what a thread needs to get its turn: what never comes fails the test, not the run.
PATIENCE_SECONDS = 60


class Task:
    """Something that has spoken: it is served as soon as there is a thread."""

    has_more = False

    def __init__(self, act: Callable[[], None], pool: "Pool[Task]", network: str = "") -> None:
        self.act = act
        self.network = network
        self.descriptor = os.eventfd(1)
        self.is_closed = Event()
        self._pool = pool

    def fileno(self) -> int:
        return self.descriptor

    def close(self) -> None:
        try:
            self._pool.forget(self)
        finally:
            os.close(self.descriptor)
            self.is_closed.set()


class Guest:
    """A wait for a client, which ends when it is told to, or when another client needs the place."""

    def __init__(self, client: str = "alice") -> None:
        self.client = client
        self.is_over = Event()

    def progress(self) -> float:
        return 0.0

    def evict(self) -> None:
        self.is_over.set()


class Crew:
    """A pool whose tasks wait until they are told to go on."""

    def __init__(self, threads: int, transfers: int = 100, spare_seconds: float = 0.0) -> None:
        self.ended = Semaphore(0)
        self.pool: Pool[Task] = Pool(threads, transfers, self._serve, self.ended.release, spare_seconds)
        self.running = Semaphore(0)
        self.done = Semaphore(0)
        self.go_on = Event()

    def submit(self, act: Callable[[], None], network: str = "") -> None:
        """Have `act` done by a thread of the pool, for somebody in `network`."""
        self.pool.watch(Task(act, self.pool, network))

    def _serve(self, task: Task) -> bool:
        task.act()
        task.close()
        return False

    def begin(self, *, is_lent: bool = False) -> Event:
        """Submit a task that runs until the returned event is set, or all are told to go on."""
        free = Event()
        self.submit(lambda: self._lend(free) if is_lent else self._hold(free))
        return free

    def begin_and_come_back(self) -> Event:
        """Submit a task that is lent until the returned event is set, then serves until all are told to go on."""
        back = Event()

        def lend_then_serve() -> None:
            with self.pool.releases_slot(Wait.TRANSFER, Guest()):
                self.running.release()
                assert back.wait(PATIENCE_SECONDS)
            self.running.release()
            assert self.go_on.wait(PATIENCE_SECONDS)

        self.submit(lend_then_serve)
        assert self.are_running(1)
        return back

    def _hold(self, free: Event) -> None:
        self.running.release()
        assert free.wait(PATIENCE_SECONDS)
        self.done.release()

    def _lend(self, free: Event) -> None:
        with self.pool.releases_slot(Wait.TRANSFER, Guest()):
            self._hold(free)

    def are_running(self, number: int) -> bool:
        """Wait until so many more tasks have begun; False when they do not."""
        return all(self.running.acquire(timeout=PATIENCE_SECONDS) for _ in range(number))

    def is_another_running(self) -> bool:
        """Tell whether a task has begun that nobody has asked about."""
        return self.running.acquire(blocking=False)

    def are_done(self, number: int) -> bool:
        """Wait until so many more tasks are over; False when they are not."""
        return all(self.done.acquire(timeout=PATIENCE_SECONDS) for _ in range(number))

    def have_ended(self, number: int) -> bool:
        """Wait until so many more threads have ended; False when they do not."""
        return all(self.ended.acquire(timeout=PATIENCE_SECONDS) for _ in range(number))

    def count(self) -> int:
        """Return how many threads there are."""
        with self.pool._lock:
            return self.pool._count


class Rendezvous:
    """A lock after which the first `number` threads wait for each other: each has seen the same."""

    def __init__(self, lock: Lock, number: int) -> None:
        self._lock = lock
        self._barrier = Barrier(number)
        self._left = number

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_error: object) -> None:
        self._left -= 1
        is_met = self._left >= 0
        self._lock.release()
        if is_met:
            self._barrier.wait(PATIENCE_SECONDS)


@pytest.fixture
def crew() -> Iterator[Callable[..., Crew]]:
    """Return a function that makes a crew; its threads end with the test."""
    with ExitStack() as crews:

        def make(threads: int, transfers: int = 100, spare_seconds: float = 0.0) -> Crew:
            made = Crew(threads, transfers, spare_seconds)
            crews.callback(made.pool.shutdown)
            return made

        yield make


def test_a_pool_without_work_has_no_threads(crew: Callable[..., Crew]) -> None:
    assert crew(threads=4).count() == 0


def test_a_thread_is_started_for_each_task_and_one_waits_for_the_next(crew: Callable[..., Crew]) -> None:
    made = crew(threads=4)

    frees = [made.begin() for _ in range(3)]

    assert made.are_running(3)
    assert made.count() == 4
    for free in frees:
        free.set()


def test_a_thread_that_is_free_takes_the_next_task(crew: Callable[..., Crew]) -> None:
    made = crew(threads=4)
    for _ in range(5):
        free = made.begin()
        assert made.are_running(1)
        free.set()
        assert made.are_done(1)
        # Done is not yet free: only a thread that said so may be counted on.
        _until_idle(made)

    assert made.count() == 2


def test_whoever_has_one_task_waits_for_one_of_each_other_client(crew: Callable[..., Crew]) -> None:
    made = crew(1)
    free = made.begin()
    assert made.are_running(1)
    order: list[str] = []
    for network in ("crowd",) * 5 + ("alone", "other"):
        made.submit(partial(order.append, network), network)

    free.set()
    _until(lambda: len(order) == 7)

    assert order == ["crowd", "alone", "other", "crowd", "crowd", "crowd", "crowd"]


def test_who_comes_while_a_crowd_waits_is_next(crew: Callable[..., Crew]) -> None:
    made = crew(1)
    free = made.begin()
    assert made.are_running(1)
    order: list[str] = []

    def serve_crowd() -> None:
        order.append("crowd")
        if len(order) == 2:
            made.submit(partial(order.append, "alone"), "alone")

    for _ in range(5):
        made.submit(serve_crowd, "crowd")

    free.set()
    _until(lambda: len(order) == 6)

    assert order.index("alone") in (2, 3)


def test_no_more_threads_serve_than_there_may_be(crew: Callable[..., Crew]) -> None:
    made = crew(threads=2)

    frees = [made.begin() for _ in range(5)]

    assert made.are_running(2)
    assert made.count() == 2
    assert not made.is_another_running()
    for free in frees:
        free.set()
    assert made.are_running(3)


def test_a_thread_that_is_lent_makes_room_for_another(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1)

    frees = [made.begin(is_lent=True) for _ in range(20)]

    assert made.are_running(20)
    assert made.count() == 21
    for free in frees:
        free.set()


def test_a_task_that_waits_gets_its_thread_when_another_is_lent(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1)
    lend, over = Event(), Event()

    def serve_then_lend() -> None:
        made.running.release()
        assert lend.wait(PATIENCE_SECONDS)
        with made.pool.releases_slot(Wait.TRANSFER, Guest()):
            assert over.wait(PATIENCE_SECONDS)

    made.submit(serve_then_lend)
    assert made.are_running(1)
    waiting = made.begin()
    assert not made.is_another_running()
    lend.set()

    assert made.are_running(1)
    waiting.set()
    over.set()


def test_beside_those_that_are_lent_no_more_serve_than_there_may_be(crew: Callable[..., Crew]) -> None:
    made = crew(threads=2)
    lent = [made.begin(is_lent=True) for _ in range(5)]
    assert made.are_running(5)

    frees = [made.begin() for _ in range(4)]

    assert made.are_running(2)
    assert made.count() == 7
    assert not made.is_another_running()
    for free in frees + lent:
        free.set()


def test_one_more_that_is_lent_than_there_may_be_is_refused(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1, transfers=2)
    lent = [made.begin(is_lent=True) for _ in range(2)]
    assert made.are_running(2)
    refused = Event()

    def lend() -> None:
        with pytest.raises(CrowdedError), made.pool.releases_slot(Wait.TRANSFER, Guest()):
            pass
        refused.set()

    made.submit(lend)

    assert refused.wait(PATIENCE_SECONDS)
    for free in lent:
        free.set()


@pytest.mark.parametrize("is_work", [False, True], ids=["a stranger", "work"])
def test_who_waits_for_something_else_takes_no_place(crew: Callable[..., Crew], is_work: bool) -> None:
    made = crew(threads=1, transfers=2)
    lent = [made.begin(is_lent=True) for _ in range(2)]
    assert made.are_running(2)
    has_begun = Event()

    def lend() -> None:
        with made.pool.releases_slot_for_work() if is_work else made.pool.releases_slot(Wait.UNAUTHENTICATED, Guest()):
            has_begun.set()

    made.submit(lend)

    assert has_begun.wait(PATIENCE_SECONDS)
    for free in lent:
        free.set()


def test_one_too_many_that_works_goes_on_in_its_own_place(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1, transfers=1)
    begun, over = [Event(), Event(), Event()], Event()

    def work(index: int) -> None:
        with made.pool.releases_slot_for_work():
            begun[index].set()
            assert over.wait(PATIENCE_SECONDS)

    for index in range(3):
        made.submit(partial(work, index))

    assert begun[0].wait(PATIENCE_SECONDS)
    assert begun[1].wait(PATIENCE_SECONDS)
    # With places for all, a third thread would have been started by the second.
    assert made.count() == 2
    over.set()
    assert begun[2].wait(PATIENCE_SECONDS)


def test_who_is_back_leaves_a_place_to_be_lent(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1, transfers=1)
    for _ in range(3):
        free = made.begin(is_lent=True)

        assert made.are_running(1)
        free.set()
        assert made.are_done(1)
        _until_idle(made)


def test_a_wait_that_fails_leaves_its_place(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1, transfers=1)

    for _ in range(2):
        with pytest.raises(TimeoutError), made.pool.releases_slot(Wait.TRANSFER, Guest()):
            raise TimeoutError


def test_who_has_none_gets_the_place_of_who_has_all_and_both_are_told(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1, transfers=4)
    guests, told, go_on = [Guest("greedy") for _ in range(4)], Semaphore(0), Event()

    def wait(guest: Guest) -> None:
        try:
            with made.pool.releases_slot(Wait.TRANSFER, guest):
                made.running.release()
                assert guest.is_over.wait(PATIENCE_SECONDS)
        except CrowdedError:
            told.release()

    def wait_in_its_place() -> None:
        with made.pool.releases_slot(Wait.TRANSFER, Guest("modest")):
            made.running.release()
            assert go_on.wait(PATIENCE_SECONDS)
        made.done.release()

    for guest in guests:
        made.submit(partial(wait, guest))
        assert made.are_running(1)

    made.submit(wait_in_its_place)

    assert made.are_running(1)
    assert told.acquire(timeout=PATIENCE_SECONDS)
    assert [guest.is_over.is_set() for guest in guests] == [True, False, False, False]
    go_on.set()
    assert made.are_done(1)
    for guest in guests[1:]:
        guest.evict()


def test_threads_that_are_too_many_end_and_say_so(crew: Callable[..., Crew]) -> None:
    made = crew(threads=2)
    lent = [made.begin(is_lent=True) for _ in range(10)]
    assert made.are_running(10)

    for free in lent:
        free.set()

    assert made.are_done(10)
    assert made.have_ended(9)
    assert made.count() == 2


def test_a_thread_too_many_stays_at_hand_for_a_while(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1, spare_seconds=PATIENCE_SECONDS)
    for _ in range(5):
        lent = [made.begin(is_lent=True) for _ in range(3)]
        assert made.are_running(3)
        for free in lent:
            free.set()
        assert made.are_done(3)
        _until(lambda: made.pool._released == 0 and made.pool._parked == 3)

    assert made.count() == 1
    assert not made.ended.acquire(blocking=False)


def test_of_two_that_are_done_at_once_only_the_one_too_many_ends(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1)
    come_back = made.begin_and_come_back()
    serving = made.begin()
    assert made.are_running(1)
    come_back.set()
    assert made.are_running(1)
    waiting = made.begin()
    made.pool._lock = Rendezvous(made.pool._lock, 2)  # type: ignore[assignment]

    made.go_on.set()
    serving.set()

    assert made.are_running(1)
    waiting.set()


def test_a_shutdown_ends_every_thread_that_is_free(crew: Callable[..., Crew]) -> None:
    made = crew(threads=3)
    frees = [made.begin() for _ in range(3)]
    assert made.are_running(3)
    for free in frees:
        free.set()
    assert made.are_done(3)

    made.pool.shutdown()

    assert made.have_ended(3)


def test_a_shutdown_waits_for_no_task(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1)
    free = made.begin()
    assert made.are_running(1)

    made.pool.shutdown()

    assert not made.ended.acquire(blocking=False)
    free.set()
    assert made.have_ended(1)


def test_without_a_further_thread_those_that_are_there_go_on(
    crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = crew(threads=3)
    first = made.begin()
    assert made.are_running(1)
    _until(lambda: made.count() == 2)
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    second = made.begin()
    assert made.are_running(1)

    third = made.begin()

    assert made.count() == 2
    first.set()
    assert made.are_running(1)
    second.set()
    third.set()


@pytest.mark.parametrize("error", [ZeroDivisionError, MemoryError, SystemExit, KeyboardInterrupt])
def test_a_task_that_fails_is_closed_and_costs_no_thread(crew: Callable[..., Crew], error: type[BaseException]) -> None:
    made = crew(threads=1)
    task = Task(partial(_fail, error), made.pool)

    made.pool.watch(task)

    assert task.is_closed.wait(PATIENCE_SECONDS)
    assert made.pool.connections() == []
    free = made.begin()
    assert made.are_running(1)
    assert made.count() == 1
    free.set()


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_a_task_that_fails_while_it_is_lent_leaves_its_place(
    crew: Callable[..., Crew], error: type[BaseException]
) -> None:
    made = crew(threads=1, transfers=1)

    def fail() -> None:
        with made.pool.releases_slot(Wait.TRANSFER, Guest()):
            raise error

    task = Task(fail, made.pool)
    made.pool.watch(task)
    assert task.is_closed.wait(PATIENCE_SECONDS)

    free = made.begin(is_lent=True)

    assert made.are_running(1)
    free.set()


def test_a_task_that_can_not_be_listened_to_again_is_closed(
    crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = crew(threads=1)
    monkeypatch.setattr(made.pool, "_serve", lambda _: True)
    # Its event is left, so that it would be served for ever; only the descriptor that comes next can't be waited for.
    task = Task(lambda: None, made.pool)
    descriptors = iter([task.descriptor, -1])
    monkeypatch.setattr(task, "fileno", lambda: next(descriptors, task.descriptor))

    made.pool.watch(task)

    assert task.is_closed.wait(PATIENCE_SECONDS)
    assert made.pool.connections() == []


def test_what_can_not_be_waited_for_is_closed_and_told(crew: Callable[..., Crew]) -> None:
    made = crew(threads=1)
    task = Task(lambda: None, made.pool)
    os.close(task.descriptor)
    task.descriptor = os.memfd_create("a file is always readable")

    with pytest.raises(PermissionError):
        made.pool.watch(task)

    assert task.is_closed.is_set()
    assert made.pool.connections() == []


def test_without_any_thread_the_worker_is_told(crew: Callable[..., Crew], monkeypatch: pytest.MonkeyPatch) -> None:
    made = crew(threads=2)
    monkeypatch.setattr(threading.Thread, "start", _no_thread)

    with pytest.raises(RuntimeError, match="can't start new thread"):
        made.begin()
    assert made.pool.connections() == []


def _fail(error: type[BaseException]) -> None:
    raise error


def _no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _until_idle(made: Crew) -> None:
    """Wait until every thread has said that it is free."""
    _until(lambda: made.pool._waiting == made.count())


def _until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so that another thread is about to do."""
    pause = Event()
    for _ in range(PATIENCE_SECONDS * 100):
        if is_so():
            return
        pause.wait(0.01)
    pytest.fail("it never came to that")
