"""How many runs are remembered."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from collector import runs, schedule
from collector.models import Run, RunFinding, Trigger
from collector.policy import Policy
from collector.report import Report
from tests.collector.runs import DAY

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _short(prepared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two runs of a kind be kept."""
    monkeypatch.setattr(runs, "KEPT", 2)


def remember(hours: int, *, trigger: str = "command", state: str = "done") -> Run:
    """Have a run that began so many hours ago."""
    moment = Now() - HOUR * hours
    ended_at = None if state in ("requested", "running") else moment
    values = {"started_at": moment, "ended_at": ended_at, "grace_period": DAY, "remove_untagged": False}
    return Run.objects.create(trigger=trigger, state=state, **values)


def run() -> Run:
    """Do one by hand."""
    return runs.collect(Policy(DAY, remove_untagged=False), Report(), Trigger.COMMAND)


def test_a_run_removes_the_oldest_beyond_those_that_are_kept() -> None:
    kept = [remember(hours) for hours in (4, 1, 3, 2)]

    last = run()

    assert set(Run.objects.all()) == {kept[1], kept[3], last}


def test_runs_that_fail_push_out_none_that_was_done() -> None:
    done = remember(9)
    failed = [remember(hours, state="failed") for hours in range(5, 0, -1)]

    last = run()

    assert set(Run.objects.all()) == {done, *failed[-2:], last}


def test_runs_by_hand_push_out_none_of_the_schedule() -> None:
    remember(9, trigger="schedule")
    for hours in range(5):
        remember(hours)

    run()

    assert not schedule.is_due()
    assert not schedule.is_overdue()


def test_runs_that_wait_are_kept() -> None:
    waiting = [remember(hours, trigger="admin", state="requested") for hours in range(4)]

    run()

    assert set(Run.objects.filter(state="requested")) == set(waiting)


def test_what_a_run_found_goes_with_it() -> None:
    old = remember(9)
    RunFinding.objects.create(run=old, kind="link", name="x", size=0, reason="y")
    for hours in range(2):
        remember(hours)

    run()

    assert not RunFinding.objects.exists()


def test_many_that_are_too_many_go_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "PRUNED", 3)
    for hours in range(10):
        remember(hours)

    counts = []
    for _ in range(5):
        run()
        counts.append(Run.objects.count())

    assert counts == [8, 6, 4, 3, 3]
