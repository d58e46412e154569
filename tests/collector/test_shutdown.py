"""A process that is told to stop ends its run in good order."""

import os
import signal

import pytest

from collector import runs
from collector.jobs.shutdown import Stopper, stopped_by_signal
from collector.models import Run, Trigger
from collector.policy import Policy
from collector.report import Report
from collector.throttle import StopError
from tests.caller import Caller
from tests.collector.runs import DAY, pass_time
from tests.images import push_blob


def test_a_stopper_that_was_not_told_lets_the_run_go_on() -> None:
    Stopper().watch()
    Stopper(max_seconds=3600).watch()


def test_a_run_that_gets_a_signal_ends_after_its_row(alice: Caller) -> None:
    for content in (b"one", b"two"):
        push_blob(alice, "alice/app", content)
    pass_time()
    stopper = Stopper()

    def watch() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        stopper.watch()

    with stopped_by_signal(stopper):
        runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, watch=watch)

    run = Run.objects.get()
    assert (run.state, run.error, run.links) == ("stopped", "told to stop", 1)


def test_signals_are_as_before_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)

    with stopped_by_signal(Stopper()):
        assert signal.getsignal(signal.SIGTERM) != before

    assert signal.getsignal(signal.SIGTERM) == before


def test_a_stopper_that_was_told_stays_told() -> None:
    stopper = Stopper()
    stopper.stop_requested.set()

    for _ in range(2):
        with pytest.raises(StopError):
            stopper.watch()
