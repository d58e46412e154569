"""`manage.py runjobs`, and the thread in each worker that starts it."""

import os
import signal
import sys
import threading
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from collector.jobs import due
from collector.jobs.scheduler import Scheduler
from collector.models import Run
from distribution.models import Trash
from tests.project.talk import until


def test_once_does_what_is_due_and_ends(prepared: None) -> None:
    Trash.objects.create(key="objects/00/due", delete_after=Now())

    call_command("runjobs", "--once")

    assert not Trash.objects.exists()
    assert Run.objects.get().trigger == "schedule"


def test_once_exits_with_1_when_a_job_fails(db: None) -> None:
    with pytest.raises(SystemExit, match="1"):
        call_command("runjobs", "--once")


@pytest.mark.django_db(transaction=True)
def test_a_worker_starts_the_jobs_when_something_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "started"
    answers = iter([False, True])
    is_over = threading.Event()

    def is_anything_due() -> bool:
        is_due = next(answers, None)
        if is_due is None:
            is_over.set()
        return bool(is_due)

    monkeypatch.setattr(due, "is_anything_due", is_anything_due)
    command = [sys.executable, "-c", f"open({str(started)!r}, 'a').write('x')"]
    scheduler = Scheduler(command, interval_seconds=0.01)
    scheduler.start()

    assert is_over.wait(60)
    scheduler.stop()
    assert started.read_text() == "x"


@pytest.mark.django_db(transaction=True)
def test_a_process_that_can_not_be_started_does_not_end_a_workers_jobs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pipe, program = tmp_path / "pipe", tmp_path / "jobs"
    os.mkfifo(pipe)
    scheduler = Scheduler([str(program)], interval_seconds=0.01)
    scheduler.start()
    until(lambda: "could not start jobs" in caplog.messages)

    (tmp_path / "new").write_text(f"#!/bin/sh\necho begun > {pipe}\n")
    (tmp_path / "new").chmod(0o700)
    (tmp_path / "new").rename(program)

    assert pipe.read_text() == "begun\n"
    scheduler.stop()


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_stops_takes_its_jobs_along(tmp_path: Path) -> None:
    """The job says that it began, and would go on for longer than anybody waits."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"import time; file = open({str(pipe)!r}, 'w', buffering=1); file.write('begun\\n'); time.sleep(600)"
    scheduler = Scheduler([sys.executable, "-c", script], interval_seconds=0.01)
    scheduler.start()
    with pipe.open() as file:
        assert file.readline() == "begun\n"

        scheduler.stop()

        assert file.readline() == ""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("by", "complaints"), [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_a_job_told_to_stop_before_it_has_a_handler_is_no_error(
    by: signal.Signals, complaints: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([True])
    is_over = threading.Event()

    def is_anything_due() -> bool:
        is_due = next(answers, False)
        if not is_due:
            is_over.set()
        return is_due

    monkeypatch.setattr(due, "is_anything_due", is_anything_due)
    command = [sys.executable, "-c", f"import os; os.kill(os.getpid(), {by.value})"]
    scheduler = Scheduler(command, interval_seconds=0.01)
    scheduler.start()

    assert is_over.wait(60)
    scheduler.stop()
    assert caplog.messages.count("jobs ended with an error") == complaints
