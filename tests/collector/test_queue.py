"""Runs that were asked for are done by the jobs beside the server, one after another."""

import os
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connections
from django.db.models.functions import Now

from collector import lease, runs
from collector.jobs import due, queue, scheduler
from collector.jobs.scheduler import Scheduler
from collector.models import Job, Lease, Run
from collector.throttle import StopError
from distribution.models import Link
from tests.caller import Caller
from tests.collector.runs import DAY, pass_time
from tests.images import push_blob


def ask(**values: object) -> Run:
    """Ask for a run."""
    run = Run(**({"grace_period": DAY, "remove_untagged": False} | values))
    queue.add(run, "root")
    return run


def ask_twice(**values: object) -> list[Run]:
    """Have two runs wait, as an earlier version allowed."""
    first = ask(**values)
    Run.objects.update(state="done")
    second = ask()
    Run.objects.filter(pk=first.pk).update(state="requested")
    return [first, second]


def state_of(run: Run) -> str:
    run.refresh_from_db()
    return run.state


@pytest.fixture(autouse=True)
def _without_a_schedule(configured: Callable[..., None]) -> None:
    configured(is_enabled=False)


def test_a_requested_run_is_due_and_is_done_once(prepared: None) -> None:
    run = ask()
    assert due.is_anything_due()

    assert due.run_due()

    assert state_of(run) == "done"
    assert not due.is_anything_due()
    due.run_due()
    assert Run.objects.count() == 1


def test_requested_runs_are_done_in_their_order(prepared: None) -> None:
    both = ask_twice(is_dry_run=True)

    due.run_due()

    assert [state_of(run) for run in both] == ["done", "done"]
    assert both[0].started_at < both[1].started_at


def test_no_second_run_is_requested_while_one_waits(prepared: None) -> None:
    ask()

    with pytest.raises(queue.WaitingError):
        ask()

    assert Run.objects.count() == 1


def test_of_concurrent_requests_one_waits(transactional_db: None) -> None:
    outcomes: list[str] = []

    def request() -> None:
        try:
            ask()
            outcomes.append("requested")
        except queue.WaitingError:
            outcomes.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=request) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["refused"] * 3 + ["requested"]


def test_a_requested_run_moves_no_schedule(prepared: None, configured: Callable[..., None]) -> None:
    configured(is_enabled=True)
    ask()

    due.run_due()

    assert sorted(Run.objects.values_list("trigger", flat=True)) == ["admin", "schedule"]


def test_a_requested_run_waits_for_the_one_at_work(prepared: None) -> None:
    run = ask()
    with lease.acquire(Job.COLLECTION):
        assert not due.is_anything_due()
        assert due.run_due()
        assert state_of(run) == "requested"

    due.run_due()

    assert state_of(run) == "done"


def test_a_requested_run_that_fails_says_why_and_is_not_tried_again(db: None) -> None:
    """There is no storage."""
    run = ask()

    assert not due.run_due()

    assert state_of(run) == "failed"
    assert run.error.startswith("FileNotFoundError")
    assert not queue.has_waiting()


def test_a_withdrawn_run_is_not_done(prepared: None) -> None:
    run = ask()

    assert queue.withdraw(run, "root")
    due.run_due()

    assert (state_of(run), run.error) == ("withdrawn", "withdrawn by root")
    assert run.ended_at is not None
    assert not queue.has_waiting()


def test_a_run_that_is_withdrawn_when_it_is_about_to_begin_does_not(
    prepared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ask_twice()
    monkeypatch.setattr(runs, "close_interrupted", lambda: queue.withdraw(first, "root"))

    due.run_due()

    assert (state_of(first), state_of(second)) == ("withdrawn", "done")


@pytest.mark.parametrize("state", ["running", "done", "withdrawn"])
def test_a_run_that_does_not_wait_is_not_withdrawn(prepared: None, state: str) -> None:
    run = ask()
    Run.objects.update(state=state)

    assert not queue.withdraw(run, "root")

    assert (state_of(run), run.error) == (state, "")


def test_a_stop_ends_the_run_at_work_and_leaves_those_that_wait(alice: Caller) -> None:
    for content in (b"one", b"two"):
        push_blob(alice, "alice/app", content)
    pass_time()
    first, second = ask_twice()

    def stop() -> None:
        if Link.objects.count() < 2:
            raise StopError("told to stop")

    with pytest.raises(StopError):
        due.run_due(stop)

    assert (state_of(first), state_of(second)) == ("stopped", "requested")


def test_a_dry_run_is_stopped_too(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"one")
    pass_time()
    run = ask(is_dry_run=True)

    def stop() -> None:
        if Run.objects.get().state == "running":
            raise StopError("told to stop")

    due.run_due(stop)

    assert (state_of(run), run.error) == ("stopped", "told to stop")


def test_a_requested_run_whose_process_was_killed_is_closed_by_the_next(prepared: None) -> None:
    killed = ask()
    Run.objects.update(state="running")
    Lease.objects.create(job=Job.COLLECTION, holder="killed", taken_at=Now(), expires_at=Now() - timedelta(minutes=1))
    other = ask()

    due.run_due()

    assert (state_of(killed), state_of(other)) == ("stopped", "done")


def test_a_run_whose_process_was_killed_is_closed_though_no_other_follows(prepared: None) -> None:
    killed = ask()
    Run.objects.update(state="running")
    is_due = due.is_anything_due()

    due.run_due()

    assert is_due
    assert (state_of(killed), killed.error) == ("stopped", "the process ended")
    assert not due.is_anything_due()


def test_a_run_that_another_process_does_is_not_closed(prepared: None) -> None:
    run = ask()
    Run.objects.update(state="running")

    with lease.acquire(Job.COLLECTION):
        is_due = due.is_anything_due()
        due.run_due()

    assert (is_due, state_of(run)) == (False, "running")


def test_the_row_of_a_run_tells_how_far_it_is(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        push_blob(alice, "alice/app", b"%d" % number)
    pass_time()
    monkeypatch.setattr(runs, "PROGRESS_SECONDS", 0)
    ask()
    seen: list[tuple[str, int]] = []

    due.run_due(lambda: seen.extend(Run.objects.values_list("state", "links")))

    assert ("running", 1) in seen
    assert Run.objects.get().links == 3


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_called_looks_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next look by itself would be in an hour."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    looked = threading.Event()
    answers = iter([False, True])

    def is_anything_due() -> bool:
        looked.set()
        return next(answers, False)

    monkeypatch.setattr(due, "is_anything_due", is_anything_due)
    monkeypatch.setattr("random.random", lambda: 0.0)
    worker = Scheduler([sys.executable, "-c", f"open({str(pipe)!r}, 'w').write('begun')"], interval_seconds=3600)
    worker.start()
    assert looked.wait(60)

    scheduler.wake()

    with pipe.open() as file:
        assert file.read() == "begun"
    worker.stop()
