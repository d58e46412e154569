"""The thread pool: slots, waits that release a slot, and fair turns."""

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
    """A readable connection, served as soon as a thread is free."""

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


class FakeWaiter:
    """A wait for a client, which ends when it is told to, or when another client needs the place."""

    def __init__(self) -> None:
        self.is_over = Event()

    def progress(self) -> float:
        return 0.0

    def evict(self) -> None:
        self.is_over.set()


class PoolOfTasks:
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

    def begin(self, *, releases_slot: bool = False) -> Event:
        """Submit a task that runs until the returned event is set, or all are told to go on."""
        free = Event()
        self.submit(lambda: self._wait_for_client(free) if releases_slot else self._hold(free))
        return free

    def begin_and_come_back(self) -> Event:
        """Submit a task that waits until the returned event is set, then serves until all are told to go on."""
        back = Event()

        def lend_then_serve() -> None:
            with self.pool.releases_slot(Wait.TRANSFER, "alice", FakeWaiter()):
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

    def _wait_for_client(self, free: Event) -> None:
        with self.pool.releases_slot(Wait.TRANSFER, "alice", FakeWaiter()):
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
def crew() -> Iterator[Callable[..., PoolOfTasks]]:
    """Return a function that makes a crew; its threads end with the test."""
    with ExitStack() as crews:

        def make(threads: int, transfers: int = 100, spare_seconds: float = 0.0) -> PoolOfTasks:
            made = PoolOfTasks(threads, transfers, spare_seconds)
            crews.callback(made.pool.shutdown)
            return made

        yield make


def test_a_pool_without_work_has_no_threads(crew: Callable[..., PoolOfTasks]) -> None:
    assert crew(threads=4).count() == 0


def test_a_thread_is_started_for_each_task_and_one_waits_for_the_next(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=4)

    frees = [made.begin() for _ in range(3)]

    assert made.are_running(3)
    assert made.count() == 4
    for free in frees:
        free.set()


def test_a_thread_that_is_free_takes_the_next_task(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=4)
    for _ in range(5):
        free = made.begin()
        assert made.are_running(1)
        free.set()
        assert made.are_done(1)
        # Done is not yet free: only a thread that said so may be counted on.
        _until_idle(made)

    assert made.count() == 2


def test_a_client_with_one_task_waits_for_one_of_each_other_client(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(1)
    free = made.begin()
    assert made.are_running(1)
    order: list[str] = []
    for network in ("crowd",) * 5 + ("alone", "other"):
        made.submit(partial(order.append, network), network)

    free.set()
    _until(lambda: len(order) == 7)

    assert order == ["crowd", "alone", "other", "crowd", "crowd", "crowd", "crowd"]


def test_a_new_client_is_next_while_a_crowd_waits(crew: Callable[..., PoolOfTasks]) -> None:
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


def test_no_more_threads_serve_than_configured(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=2)

    frees = [made.begin() for _ in range(5)]

    assert made.are_running(2)
    assert made.count() == 2
    assert not made.is_another_running()
    for free in frees:
        free.set()
    assert made.are_running(3)


def test_a_released_slot_is_used_by_another_thread(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1)

    frees = [made.begin(releases_slot=True) for _ in range(20)]

    assert made.are_running(20)
    assert made.count() == 21
    for free in frees:
        free.set()


def test_a_waiting_task_gets_a_released_slot(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1)
    lend, over = Event(), Event()

    def serve_then_lend() -> None:
        made.running.release()
        assert lend.wait(PATIENCE_SECONDS)
        with made.pool.releases_slot(Wait.TRANSFER, "alice", FakeWaiter()):
            assert over.wait(PATIENCE_SECONDS)

    made.submit(serve_then_lend)
    assert made.are_running(1)
    waiting = made.begin()
    assert not made.is_another_running()
    lend.set()

    assert made.are_running(1)
    waiting.set()
    over.set()


def test_beside_released_slots_no_more_threads_serve_than_configured(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=2)
    waits = [made.begin(releases_slot=True) for _ in range(5)]
    assert made.are_running(5)

    frees = [made.begin() for _ in range(4)]

    assert made.are_running(2)
    assert made.count() == 7
    assert not made.is_another_running()
    for free in frees + waits:
        free.set()


def test_a_wait_beyond_the_limit_is_refused(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1, transfers=2)
    waits = [made.begin(releases_slot=True) for _ in range(2)]
    assert made.are_running(2)
    refused = Event()

    def lend() -> None:
        with pytest.raises(CrowdedError), made.pool.releases_slot(Wait.TRANSFER, "alice", FakeWaiter()):
            pass
        refused.set()

    made.submit(lend)

    assert refused.wait(PATIENCE_SECONDS)
    for free in waits:
        free.set()


@pytest.mark.parametrize("is_work", [False, True], ids=["a stranger", "work"])
def test_another_kind_of_wait_takes_no_place(crew: Callable[..., PoolOfTasks], is_work: bool) -> None:
    made = crew(threads=1, transfers=2)
    waits = [made.begin(releases_slot=True) for _ in range(2)]
    assert made.are_running(2)
    has_begun = Event()

    def lend() -> None:
        with (
            made.pool.releases_slot_for_work()
            if is_work
            else made.pool.releases_slot(Wait.UNAUTHENTICATED, "alice", FakeWaiter())
        ):
            has_begun.set()

    made.submit(lend)

    assert has_begun.wait(PATIENCE_SECONDS)
    for free in waits:
        free.set()


def test_work_in_a_wait_releases_no_second_slot(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1)
    begun, over = [Event(), Event()], Event()

    def work_in_a_wait(index: int) -> None:
        with made.pool.releases_slot(Wait.TRANSFER, "alice", FakeWaiter()), made.pool.releases_slot_for_work():
            begun[index].set()
            assert over.wait(PATIENCE_SECONDS)

    for index in range(2):
        made.submit(partial(work_in_a_wait, index))
        assert begun[index].wait(PATIENCE_SECONDS)
    free = made.begin()

    assert made.are_running(1)
    # With more slots released than there are waits, the third thread would have started a fourth.
    assert made.count() == 3
    over.set()
    free.set()


def test_work_beyond_the_limit_keeps_its_slot(crew: Callable[..., PoolOfTasks]) -> None:
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


def test_a_wait_that_ends_frees_its_place(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1, transfers=1)
    for _ in range(3):
        free = made.begin(releases_slot=True)

        assert made.are_running(1)
        free.set()
        assert made.are_done(1)
        _until_idle(made)


def test_a_wait_that_fails_frees_its_place(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1, transfers=1)

    for _ in range(2):
        with pytest.raises(TimeoutError), made.pool.releases_slot(Wait.TRANSFER, "alice", FakeWaiter()):
            raise TimeoutError


def test_a_client_without_a_place_evicts_one_of_the_client_with_all(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1, transfers=4)
    guests, told, go_on = [FakeWaiter() for _ in range(4)], Semaphore(0), Event()

    def wait(guest: FakeWaiter) -> None:
        try:
            with made.pool.releases_slot(Wait.TRANSFER, "greedy", guest):
                made.running.release()
                assert guest.is_over.wait(PATIENCE_SECONDS)
        except CrowdedError:
            told.release()

    def wait_in_its_place() -> None:
        with made.pool.releases_slot(Wait.TRANSFER, "modest", FakeWaiter()):
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


def test_surplus_threads_end_and_run_at_end(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=2)
    waits = [made.begin(releases_slot=True) for _ in range(10)]
    assert made.are_running(10)

    for free in waits:
        free.set()

    assert made.are_done(10)
    assert made.have_ended(9)
    assert made.count() == 2


def test_a_surplus_thread_is_parked_for_a_while(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1, spare_seconds=PATIENCE_SECONDS)
    for _ in range(5):
        waits = [made.begin(releases_slot=True) for _ in range(3)]
        assert made.are_running(3)
        for free in waits:
            free.set()
        assert made.are_done(3)
        _until(lambda: made.pool._released == 0 and made.pool._parked == 3)

    assert made.count() == 1
    assert not made.ended.acquire(blocking=False)


def test_of_two_threads_done_at_once_only_the_surplus_one_ends(crew: Callable[..., PoolOfTasks]) -> None:
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


def test_a_shutdown_ends_every_idle_thread(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=3)
    frees = [made.begin() for _ in range(3)]
    assert made.are_running(3)
    for free in frees:
        free.set()
    assert made.are_done(3)

    made.pool.shutdown()

    assert made.have_ended(3)


def test_a_shutdown_does_not_wait_for_a_task(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1)
    free = made.begin()
    assert made.are_running(1)

    made.pool.shutdown()

    assert not made.ended.acquire(blocking=False)
    free.set()
    assert made.have_ended(1)


def test_without_a_further_thread_the_existing_ones_go_on(
    crew: Callable[..., PoolOfTasks], monkeypatch: pytest.MonkeyPatch
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
def test_a_task_that_fails_is_closed_and_costs_no_thread(
    crew: Callable[..., PoolOfTasks], error: type[BaseException]
) -> None:
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
def test_a_task_that_fails_in_a_wait_frees_its_place(
    crew: Callable[..., PoolOfTasks], error: type[BaseException]
) -> None:
    made = crew(threads=1, transfers=1)

    def fail() -> None:
        with made.pool.releases_slot(Wait.TRANSFER, "alice", FakeWaiter()):
            raise error

    task = Task(fail, made.pool)
    made.pool.watch(task)
    assert task.is_closed.wait(PATIENCE_SECONDS)

    free = made.begin(releases_slot=True)

    assert made.are_running(1)
    free.set()


def test_a_connection_that_can_not_be_watched_again_is_closed(
    crew: Callable[..., PoolOfTasks], monkeypatch: pytest.MonkeyPatch
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


def test_a_connection_that_can_not_be_watched_is_closed_and_raises(crew: Callable[..., PoolOfTasks]) -> None:
    made = crew(threads=1)
    task = Task(lambda: None, made.pool)
    os.close(task.descriptor)
    task.descriptor = os.memfd_create("a file is always readable")

    with pytest.raises(PermissionError):
        made.pool.watch(task)

    assert task.is_closed.is_set()
    assert made.pool.connections() == []


def test_without_any_thread_watch_raises(crew: Callable[..., PoolOfTasks], monkeypatch: pytest.MonkeyPatch) -> None:
    made = crew(threads=2)
    monkeypatch.setattr(threading.Thread, "start", _no_thread)

    with pytest.raises(RuntimeError, match="can't start new thread"):
        made.begin()
    assert made.pool.connections() == []


def _fail(error: type[BaseException]) -> None:
    raise error


def _no_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def _until_idle(made: PoolOfTasks) -> None:
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
