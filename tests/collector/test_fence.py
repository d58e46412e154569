"""What was promised and could not be written is not collected: a lock of the promising process forbids it."""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from collector import runs, sweep
from collector.models import State, Trigger
from collector.policy import Policy
from collector.report import Report
from collector.throttle import StopError
from distribution import collection_fence, deferred_writes
from distribution.models import Blob, Link, Manifest
from tests.caller import Caller
from tests.collector.runs import DAY, collect, pass_time
from tests.images import Image, push_blob
from tests.unwritable import PATIENCE_SECONDS, unwritable, wait_until_written

APP = "alice/app"
Push = Callable[..., Image]

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def guarded() -> Iterator[None]:
    """Be a process that has promises to write."""
    guard = collection_fence.guard()
    guard.acquire()
    try:
        yield
    finally:
        guard.release()


@pytest.fixture
def untagged(push: Push, alice: Caller) -> Image:
    """Have an image without a tag, unused for two days."""
    image = push(APP, "v1")
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()
    return image


def test_while_a_process_has_promises_to_write_a_run_stops_at_the_first_row(
    untagged: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "FENCED_SECONDS", 0.0)
    Link.objects.update(is_unreferenced=True)
    links, report, steps = Link.objects.count(), Report(), []

    with guarded():
        run = runs.collect(Policy(DAY, remove_untagged=True), report, Trigger.COMMAND, watch=lambda: steps.append(1))

    assert (run.state, run.error) == (State.STOPPED, "a server has not yet written when rows were last used")
    assert (report.total.manifests, report.total.links, report.busy, report.failures) == (0, 0, 0, 0)
    assert (Manifest.objects.count(), Link.objects.count()) == (1, links)
    assert steps == []


def test_a_run_goes_on_when_they_are_written_soon(untagged: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = collection_fence.guard()
    guard.acquire()
    monkeypatch.setattr(sweep, "sleep", lambda _: guard.release())

    removed = collect().total
    guard.release()

    assert (removed.manifests, Manifest.objects.count(), Blob.objects.count()) == (1, 0, 0)


def test_a_run_that_waits_for_them_can_be_told_to_stop(untagged: Image) -> None:
    def stop() -> None:
        raise StopError("told to stop")

    with guarded():
        run = runs.collect(Policy(DAY, remove_untagged=True), Report(), Trigger.COMMAND, watch=stop)

    assert (run.state, run.error, Manifest.objects.count()) == (State.STOPPED, "told to stop", 1)


def test_once_they_are_written_collection_goes_on(untagged: Image) -> None:
    with guarded(), guarded():
        pass

    assert (collect().total.manifests, Blob.objects.count()) == (1, 0)


def test_who_guards_waits_for_the_removal_that_is_under_way() -> None:
    held: list[str] = []

    def hold() -> None:
        with guarded():
            held.append("guard")

    thread = threading.Thread(target=hold)
    with collection_fence.exclusive() as may_pass, transaction.atomic():
        assert may_pass()
        thread.start()
        thread.join(0.2)
        held.append("removal")
    thread.join(PATIENCE_SECONDS)

    assert held == ["removal", "guard"]


def test_a_lock_that_was_lost_is_taken_again() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("a file keeps its lock")
    guard = collection_fence.AdvisoryGuard()
    guard.acquire()
    with connection.cursor() as cursor:
        cursor.execute(
            # Not those of other databases: the tests of another worker are at work there.
            "SELECT pg_terminate_backend(pid, 60000) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [collection_fence._KEY],
        )
    is_lost = may_collect()

    guard.acquire()
    is_held = not may_collect()
    guard.release()

    assert (is_lost, is_held) == (True, True)


def test_a_lock_that_was_not_had_in_time_is_taken_at_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("a file's lock is waited for without end")
    guard = collection_fence.AdvisoryGuard()
    monkeypatch.setitem(guard._database.settings_dict["OPTIONS"], "options", "-c lock_timeout=100ms")

    with collection_fence.exclusive() as may_pass, transaction.atomic():
        assert may_pass()
        with pytest.raises(OperationalError):
            guard.acquire()
    guard.acquire()
    is_held = not may_collect()
    guard.release()

    assert is_held


def test_the_collectors_lock_is_on_a_file_open_for_writing_as_nfs_wants_it() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has locks of its own")

    with collection_fence.exclusive():
        files = Path("/proc/self/fd").iterdir()
        locks = [int(file.name) for file in files if os.path.realpath(file).endswith(".renewals")]
        modes = [fcntl.fcntl(lock, fcntl.F_GETFL) & os.O_ACCMODE for lock in locks]

    assert modes == [os.O_RDWR]


def may_collect() -> bool:
    """Return whether a collector may remove something now."""
    with collection_fence.exclusive() as may_pass, transaction.atomic():
        return may_pass()


def test_a_promise_that_could_not_be_written_holds_when_it_was(alice: Caller) -> None:
    push_blob(alice, APP, b"asked for while nothing can be written")
    pass_time()
    token = alice.token(f"repository:{APP}:pull")

    with unwritable("distribution_link"):
        answer = alice.head(f"/v2/{APP}/blobs/{Blob.objects.get().digest}", token=token)
    wait_until_written()
    kept = collect()
    pass_time()

    assert answer.status_code == 200
    assert kept.total.links == 0
    assert collect(grace=DAY).total.links == 1


def test_a_read_is_answered_though_the_lock_can_not_be_had(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = push_blob(alice, APP, b"asked for while nothing can be written")
    pass_time()
    token = alice.token(f"repository:{APP}:pull")

    def fails(_guard: object) -> None:
        raise OSError("no more files")

    monkeypatch.setattr(type(collection_fence.guard()), "acquire", fails)
    monkeypatch.setattr(deferred_writes, "RETRY_SECONDS", 0.05)

    with unwritable("distribution_link"):
        answer = alice.head(f"/v2/{APP}/blobs/{digest}", token=token)
    wait_until_written()

    assert answer.status_code == 200
    assert Link.objects.get().last_used_at > timezone.now() - DAY


def test_a_lock_file_that_root_made_is_the_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if connection.vendor != "sqlite" or os.geteuid() != 0:
        pytest.skip("only root makes what is another's")
    os.chown(tmp_path, 65534, 65534)
    monkeypatch.setitem(connection.settings_dict, "NAME", str(tmp_path / "registry.sqlite3"))

    collection_fence.prepare()

    assert (tmp_path / "registry.sqlite3.renewals").stat().st_uid == 65534
