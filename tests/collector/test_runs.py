"""Every run leaves a row; the schedule reads them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from collector import lease, runs, schedule
from collector.dry_run import forecast
from collector.jobs import due
from collector.models import Job, Lease, Run, State, Trigger
from collector.policy import Policy
from collector.report import Report
from collector.throttle import StopError
from distribution.models import Link, Repository, Trash
from tests.caller import Caller
from tests.collector.runs import DAY, pass_time
from tests.collector.storage import objects
from tests.images import push_blob

HOUR = timedelta(hours=1)


def _stop() -> None:
    raise StopError("told to stop")


def _lose_the_lease() -> None:
    Lease.objects.all().delete()


def _be_later(duration: timedelta) -> None:
    """Make every run look as if it had begun `duration` earlier."""
    Run.objects.update(started_at=F("started_at") - duration)


def test_a_run_leaves_a_row(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"12345")
    pass_time()
    push_blob(alice, "alice/app", b"young")

    runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, started_by="root")

    run = Run.objects.get()
    assert (run.state, run.trigger, run.started_by, run.remove_untagged) == ("done", "command", "root", True)
    assert (run.links, run.blobs, run.freed_bytes, run.later_bytes) == (1, 1, 5, 5)
    assert run.ended_at is not None
    assert run.ended_at >= run.started_at


def test_a_stopped_run_says_so_and_keeps_what_it_did(alice: Caller) -> None:
    for content in (b"one", b"two"):
        push_blob(alice, "alice/app", content)
    pass_time()

    runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, watch=_stop)

    run = Run.objects.get()
    assert (run.state, run.error, run.links) == ("stopped", "told to stop", 1)
    assert Link.objects.count() == 1


def test_a_run_that_fails_says_why(db: None) -> None:
    with pytest.raises(FileNotFoundError):
        runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND)

    run = Run.objects.get()
    assert run.state == "failed"
    assert run.error.startswith("FileNotFoundError")


def test_a_run_whose_process_was_killed_is_closed_by_the_next(prepared: None) -> None:
    killed = Run.objects.create(started_at=Now(), trigger="schedule", grace_period=DAY, remove_untagged=False)

    runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND)

    killed.refresh_from_db()
    assert (killed.state, killed.error) == ("stopped", "the process ended")
    assert killed.ended_at is not None


def test_counting_what_is_for_later_gives_signs_of_life_too(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is due, and another process takes over while the run counts what is young."""
    for content in (b"one", b"two"):
        push_blob(alice, "alice/app", content)
    monkeypatch.setattr(forecast, "BATCH", 1)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0)

    runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, watch=_lose_the_lease)

    run = Run.objects.get()
    assert (run.state, run.error) == ("stopped", "another process took over")


@pytest.mark.django_db(transaction=True)
def test_signs_of_life_are_given_while_others_write(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite a statement left open would keep its snapshot, and the row of the lease could not be written."""
    for number in range(5):
        push_blob(alice, "alice/app", b"young %d" % number)
    monkeypatch.setattr(forecast, "BATCH", 1)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0)

    with ThreadPoolExecutor(1) as others:

        def write_elsewhere() -> None:
            others.submit(Repository.objects.update, is_listed=True).result()

        runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, watch=write_elsewhere)
        others.submit(lambda: connection.close()).result()  # noqa: PLW0108 - the connection of that thread

    assert (Run.objects.get().state, Run.objects.get().later_bytes) == ("done", 5 * len(b"young 0"))


def test_a_run_is_stopped_while_it_counts_what_is_for_later(alice: Caller) -> None:
    push_blob(alice, "alice/app", b"young")

    runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, watch=_stop)

    assert Run.objects.get().state == "stopped"


def test_the_schedule_begins_at_once_and_waits_for_the_interval(
    prepared: None, configured: Callable[..., None]
) -> None:
    configured(interval=HOUR)
    due.run_due()
    due.run_due()
    assert Run.objects.count() == 1

    _be_later(HOUR)
    due.run_due()

    assert Run.objects.count() == 2


def test_a_run_by_hand_moves_no_schedule(prepared: None) -> None:
    runs.collect(Policy(DAY, remove_untagged=False), Report(), Trigger.COMMAND)

    assert schedule.is_due()


def test_a_disabled_schedule_never_begins_and_the_trash_is_emptied_all_the_same(
    prepared: None, configured: Callable[..., None]
) -> None:
    configured(is_enabled=False)
    Trash.objects.create(key="objects/00/due", delete_after=Now())

    due.run_due()

    assert not Run.objects.exists()
    assert not Trash.objects.exists()


def test_a_failed_run_is_tried_again_before_the_interval_ends(prepared: None) -> None:
    due.run_due()
    Run.objects.update(state=State.FAILED)
    assert not schedule.is_due()

    _be_later(schedule.RETRY)

    assert schedule.is_due()


def test_a_run_of_a_clock_that_was_set_back_since_holds_up_no_other(prepared: None) -> None:
    due.run_due()
    _be_later(timedelta(days=-2))
    assert schedule.is_due()

    due.run_due()

    assert not schedule.is_due()


def test_collection_that_another_process_did_meanwhile_is_not_done_again(prepared: None) -> None:
    due.run_due()

    assert runs.collect_if_due(Report()) is None


def test_collection_is_overdue_after_two_intervals_without_a_run_that_was_done(
    prepared: None, configured: Callable[..., None]
) -> None:
    configured(interval=HOUR)
    due.run_due()
    _be_later(2 * HOUR - timedelta(minutes=1))
    assert not schedule.is_overdue()

    _be_later(timedelta(minutes=2))
    assert schedule.is_overdue()

    due.run_due()
    assert not schedule.is_overdue()


def test_a_job_that_another_process_does_is_left_to_it(prepared: None) -> None:
    Trash.objects.create(key="objects/00/due", delete_after=Now())
    for job in Job:
        Lease.objects.create(job=job, holder="other", taken_at=Now(), expires_at=Now() + lease.LIFETIME / 2)

    assert not due.is_anything_due()
    assert due.run_due()
    assert Trash.objects.exists()


def test_nothing_is_due_once_all_is_done(prepared: None) -> None:
    assert due.is_anything_due()

    assert due.run_due()

    assert not due.is_anything_due()


def test_a_job_that_fails_keeps_no_other_from_its_turn(db: None) -> None:
    """The storage is not there, so the trash cannot be emptied."""
    assert not due.run_due()

    assert Run.objects.get().state == "failed"
    assert objects() == set()
