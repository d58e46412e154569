"""What writes a single row waits for its turn on SQLite like every push, instead of taking its chance beside them."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, connections

from collector import expiry, lease, runs
from collector.jobs import queue
from collector.models import Job, Run
from collector.policy import Policy
from collector.report import Report
from collector.throttle import Throttle
from core.db import clock
from distribution import blobs
from distribution.models import Trash
from distribution.storage.blob_store import blob_store
from tests.collector.runs import DAY
from tests.core.db.test_sqlite_writer import write_lock_taken
from tests.unwritable import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _sqlite(transactional_db: None) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has many writers")
    blob_store().prepare()


def take_a_lease() -> None:
    with lease.acquire(Job.EXPIRY):
        pass


def ask_for_a_run() -> None:
    queue.add(Run(grace_period=DAY, remove_untagged=False), "root")


def withdraw_a_run() -> None:
    queue.withdraw(Run(pk=1), "root")


def empty_the_trash() -> None:
    expiry.empty_trash(clock.now(), Report(), Throttle())


def begin_a_run() -> None:
    runs._begin(Run(), Policy(DAY, remove_untagged=False))


def end_a_run() -> None:
    with runs._recorded(
        Run(pk=1, trigger="schedule", started_at=clock.now(), grace_period=DAY, remove_untagged=False), Report()
    ):
        pass


def mark_a_blob() -> None:
    blobs.mark_corrupt(1, "key")


@pytest.mark.parametrize(
    "operation",
    [
        *(take_a_lease, ask_for_a_run, withdraw_a_run, begin_a_run, end_a_run, runs.close_interrupted),
        *(empty_the_trash, mark_a_blob),
    ],
)
def test_while_another_process_writes_it_waits(operation: Callable[[], None]) -> None:
    Trash.objects.create(key="objects/00/00000000000000000000000000000000", delete_after=clock.now())

    def work() -> None:
        operation()
        connections.close_all()

    thread = threading.Thread(target=work)
    with write_lock_taken():
        thread.start()
        thread.join(0.3)
        is_waiting = thread.is_alive()
    thread.join(PATIENCE_SECONDS)

    assert (is_waiting, thread.is_alive()) == (True, False)
