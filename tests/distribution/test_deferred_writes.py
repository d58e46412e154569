"""Writes that can't be done now are done later: nobody waits for them, and nothing is collected before."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from core.db import transactions
from core.db.statement import Statement
from distribution import collection_fence, deferred_writes
from distribution.models import Blob, Link, Manifest, Repository
from distribution.storage.blob_store import blob_store
from distribution.uploads import leases
from tests.caller import Caller, content
from tests.distribution.sessions import Interrupted, at_once, finish, start
from tests.images import digest_of, push_blob, push_image
from tests.unwritable import PATIENCE_SECONDS, is_all_written, until, unwritable, wait_until_written

pytestmark = pytest.mark.django_db(transaction=True)

OLD = timedelta(days=30)
LINKS = "distribution_link"
_INSERT = Statement("""
INSERT INTO distribution_repository (name, is_listed, created_at) VALUES (%s, TRUE, statement_timestamp())
""")
_LIST = Statement("UPDATE distribution_repository SET is_listed = TRUE WHERE name = %s")


@pytest.fixture(autouse=True)
def _ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(deferred_writes, "RETRY_SECONDS", 0.05)
    yield
    wait_until_written()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what can be written be waited for, however slow the machine is."""
    for name in ("PATIENCE_SECONDS", "UNFENCED_SECONDS", "FIRST_ATTEMPT_SECONDS"):
        monkeypatch.setattr(deferred_writes, name, 60.0)


def may_collect() -> bool:
    """Return whether a collector may remove something now."""
    with collection_fence.exclusive() as may_pass, transaction.atomic():
        return may_pass()


def listed() -> set[str]:
    """Return the names of the repositories that `_LIST` has changed."""
    return set(Repository.objects.filter(is_listed=True).values_list("name", flat=True))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_old_blob_is_served_by_a_read_only_database_and_touched_afterwards(alice: Caller, method: str) -> None:
    digest = push_blob(alice, "alice/app", b"old")
    token = alice.token("repository:alice/app:pull")
    Link.objects.update(last_used_at=now() - OLD)

    with unwritable(LINKS):
        answer = alice.send(method, f"/v2/alice/app/blobs/{digest}", token=token)
        read = content(answer)
    wait_until_written()

    assert (answer.status_code, read) == (200, b"old" if method == "GET" else b"")
    assert Link.objects.get().last_used_at > now() - timedelta(minutes=1)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_an_old_manifest_is_served_by_a_read_only_database_and_touched_afterwards(
    alice: Caller, method: str, by: str
) -> None:
    image = push_image(alice, "alice/app", "v1")
    token = alice.token("repository:alice/app:pull")
    Manifest.objects.update(last_used_at=now() - OLD)
    reference = "v1" if by == "tag" else image.digest

    with unwritable("distribution_manifest"):
        answer = alice.send(method, f"/v2/alice/app/manifests/{reference}", token=token)
    wait_until_written()

    assert answer.status_code == 200
    assert Manifest.objects.get().last_used_at > now() - timedelta(minutes=1)


@pytest.mark.usefixtures("patience")
def test_a_write_that_can_be_done_says_how_many_rows_it_changed() -> None:
    Repository.objects.create(name="alice/app")

    assert deferred_writes.write(_LIST, "alice/app") == 1
    assert deferred_writes.write(_LIST, "alice/none") == 0
    assert listed() == {"alice/app"}


@pytest.mark.usefixtures("patience")
def test_threads_that_write_at_once_are_all_told() -> None:
    names = [f"alice/{number}" for number in range(20)]
    Repository.objects.bulk_create(Repository(name=name) for name in names)

    changed = at_once(*(lambda name=name: deferred_writes.write(_LIST, name) for name in names), *[lambda: 1] * 3)

    assert changed == [1] * 23
    assert listed() == set(names)


def test_a_pending_write_makes_no_other_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    Repository.objects.bulk_create(Repository(name=name) for name in ("alice/first", "alice/second"))

    with unwritable("distribution_repository"):
        deferred_writes.write(_LIST, "alice/first")
        monkeypatch.setattr(deferred_writes, "PATIENCE_SECONDS", 3600.0)
        second = threading.Thread(target=deferred_writes.write, args=(_LIST, "alice/second"), daemon=True)
        second.start()
        second.join(PATIENCE_SECONDS)
        is_waiting = second.is_alive()
    wait_until_written()

    assert not is_waiting
    assert listed() == {"alice/first", "alice/second"}


def test_nothing_is_collected_until_what_is_pending_is_written() -> None:
    Repository.objects.create(name="alice/app")
    before = may_collect()

    with unwritable("distribution_repository"):
        changed = deferred_writes.write(_LIST, "alice/app")
        # The lock of a collector, without the transaction that it could not begin on SQLite.
        meanwhile = may_collect() if connection.vendor == "postgresql" else is_flock_free()
    wait_until_written()

    assert changed is None
    assert (before, meanwhile) == (True, False)
    # PostgreSQL gives a lock back some time after its session has ended.
    until(may_collect)


def test_a_deferred_write_is_behind_the_fence_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"alice/{number}" for number in range(30)]
    Repository.objects.bulk_create(Repository(name=name) for name in names)
    run_once = transactions.run_once

    def run_slowly(operation: Callable[[], list[int]], patience_seconds: float) -> list[int]:
        time.sleep(0.1)
        return run_once(operation, patience_seconds)

    def is_told_later(name: str) -> tuple[bool, bool]:
        is_later = deferred_writes.write(_LIST, name) is None
        return is_later, is_later and (may_collect() if connection.vendor == "postgresql" else is_flock_free())

    monkeypatch.setitem(deferred_writes.BATCH, connection.vendor, 1)
    monkeypatch.setattr(transactions, "run_once", run_slowly)

    told = at_once(*(lambda name=name: is_told_later(name) for name in names))
    wait_until_written()

    assert (True, False) in told
    assert (True, True) not in told
    assert listed() == set(names)


def is_flock_free() -> bool:
    """Return whether a collector would get SQLite's lock."""
    with collection_fence.exclusive() as may_pass:
        return may_pass()


def test_a_dropped_write_keeps_the_fence_for_as_long_as_a_push_may_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Repository.objects.bulk_create(Repository(name=name) for name in ("alice/first", "alice/second"))
    monkeypatch.setattr(deferred_writes, "MAX_PENDING", 1)

    with unwritable("distribution_repository"):
        deferred_writes.write(_LIST, "alice/first")
        changed = deferred_writes.write(_LIST, "alice/second")
    until(lambda: "alice/first" in listed())
    may_collect_while_promised = may_collect()
    deferred_writes._writes._fenced_until = 0.0
    wait_until_written()

    assert changed is None
    assert not may_collect_while_promised
    assert listed() == {"alice/first"}
    until(may_collect)


def test_the_fence_of_a_dropped_write_ends_long_before_half_of_the_grace_period(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Repository.objects.bulk_create(Repository(name=name) for name in ("alice/first", "alice/second"))
    monkeypatch.setattr(deferred_writes, "MAX_PENDING", 1)
    monkeypatch.setattr(deferred_writes, "FORGOTTEN_SECONDS", 0.5)

    with unwritable("distribution_repository"):
        deferred_writes.write(_LIST, "alice/first")
        deferred_writes.write(_LIST, "alice/second")
    wait_until_written()

    until(may_collect)


def test_a_write_that_the_database_refuses_blocks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(deferred_writes.BATCH, connection.vendor, 1)
    Repository.objects.bulk_create(Repository(name=name) for name in ("alice/app", "alice/taken"))

    with unwritable("distribution_repository"):
        deferred_writes.write(_INSERT, "alice/taken")
        deferred_writes.write(_LIST, "alice/app")
    until(lambda: "alice/app" in listed())
    is_pending = not is_all_written()
    Repository.objects.get(name="alice/taken").delete()
    wait_until_written()

    assert is_pending
    assert listed() == {"alice/app", "alice/taken"}


def test_a_write_in_a_transaction_is_part_of_it() -> None:
    Repository.objects.create(name="alice/app")

    with transaction.atomic():
        changed = deferred_writes.write(_LIST, "alice/app")
        transaction.set_rollback(True)

    assert changed == 1
    assert listed() == set()


def test_a_forked_process_has_no_pending_writes() -> None:
    Repository.objects.create(name="alice/app")

    with unwritable("distribution_repository"):
        deferred_writes.write(_LIST, "alice/app")
        child = os.fork()
        if not child:
            os._exit(0 if is_all_written() else 1)
        status = os.waitpid(child, 0)[1]

    assert os.waitstatus_to_exitcode(status) == 0


def test_an_upload_goes_on_while_its_claim_can_not_be_renewed(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[Exception] = []
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(leases, "heartbeat", leases.Heartbeat())
    monkeypatch.setattr(leases, "report", failed.append)
    location = start(alice)
    token = alice.token("repository:alice/app:pull,push")
    writers = unwritable("distribution_upload")
    body = Interrupted(b"before, ", writers.__enter__, b"")
    body._pieces[2:] = [
        lambda: until(lambda: bool(failed)),
        b"meanwhile, ",
        lambda: writers.__exit__(None, None, None),
        b"after",
    ]

    answer = alice.patch(location, token=token, meta={"wsgi.input": body, "HTTP_TRANSFER_ENCODING": "chunked"})
    wait_until_written()

    assert answer.status_code == 202
    assert finish(alice, location, digest_of(b"before, meanwhile, after")).status_code == 201


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_blob_without_bytes_is_the_same_503_while_nothing_can_be_written_and_404_after(
    alice: Caller, method: str
) -> None:
    digest = push_blob(alice, "alice/app", b"lost")
    token = alice.token("repository:alice/app:pull")
    blob_store().delete(Blob.objects.get().key)

    with unwritable("distribution_blob"):
        lost = alice.send(method, f"/v2/alice/app/blobs/{digest}", token=token)
    wait_until_written()

    assert lost.status_code == 503
    assert method == "HEAD" or "pushing them again heals the blob" in lost.json()["errors"][0]["detail"]
    assert alice.send(method, f"/v2/alice/app/blobs/{digest}", token=token).status_code == 404
