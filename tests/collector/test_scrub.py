"""`storage.scrub`: every blob is read once in that time, and what has other bytes than it should is marked."""

import errno
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import Account
from collector import lease
from collector.jobs import due, queue, scrub
from collector.models import Job, Run, Scrub
from collector.throttle import StopError
from distribution.models import Blob, Link
from distribution.storage.blob_store import BlobStore
from tests.caller import Caller, content
from tests.images import digest_of, push_blob
from tests.storages import object_file

APP = "alice/app"
HOUR = timedelta(hours=1)

Scrubbing = Callable[[timedelta | None], None]


@pytest.fixture
def scrubbing(settings: Settings, configured: Callable[..., None]) -> Scrubbing:
    """Read every blob in so much time: `scrubbing(HOUR)`; no job but this is due by itself."""
    configured(is_enabled=False)

    def change(period: timedelta | None) -> None:
        settings.REGISTRY = replace(settings.REGISTRY, storage=replace(settings.REGISTRY.storage, scrub=period))

    return change


@pytest.fixture
def four(prepared: None, scrubbing: Scrubbing) -> None:
    """Have four blobs, of which one is due every hour, and begin now."""
    for pk in range(1, 5):
        data = b"%d" % pk
        object_file(f"objects/00/{pk}").write_bytes(data)
        Blob.objects.create(pk=pk, digest=digest_of(data), size=1, key=f"objects/00/{pk}")
    scrubbing(4 * HOUR)
    due.run_due()


def be_later(duration: timedelta) -> None:
    """Let so much time pass."""
    Scrub.objects.update(reached_at=F("reached_at") - duration)


def read_all() -> None:
    """Let the time of a whole round pass, within an hour, and do the jobs."""
    due.run_due()
    be_later(2 * HOUR)
    assert due.run_due()


def path_of(digest: str) -> Path:
    return object_file(Blob.objects.get(digest=digest).key)


def test_nothing_is_read_unless_it_is_configured(prepared: None, scrubbing: Scrubbing) -> None:
    scrubbing(None)

    due.run_due()

    assert not due.is_anything_due()
    assert not Scrub.objects.exists()


def test_a_flipped_byte_is_found_and_a_push_heals_the_blob(
    alice: Caller, scrubbing: Scrubbing, caplog: pytest.LogCaptureFixture
) -> None:
    digest, sound = push_blob(alice, APP, b"bytes"), push_blob(alice, APP, b"sound")
    path_of(digest).write_bytes(b"bytez")
    scrubbing(HOUR)

    with caplog.at_level(logging.ERROR):
        read_all()

    assert [alice.head(f"/v2/{APP}/blobs/{name}").status_code for name in (digest, sound)] == [404, 200]
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "has other bytes" in record.getMessage()
    assert record.__dict__["digest"] == digest
    assert (Scrub.objects.get().checked, Scrub.objects.get().corrupt) == (2, 1)
    push_blob(alice, APP, b"bytes")
    assert content(alice.get(f"/v2/{APP}/blobs/{digest}")) == b"bytes"


@pytest.mark.parametrize("left", [None, b"byt"])
def test_an_object_that_is_missing_or_short_is_found(alice: Caller, scrubbing: Scrubbing, left: bytes | None) -> None:
    path = path_of(push_blob(alice, APP, b"bytes"))
    path.unlink() if left is None else path.write_bytes(left)
    scrubbing(HOUR)

    read_all()

    assert Blob.objects.get().is_corrupt


def break_disk(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the object of the first blob raise `error` when it is read."""
    broken = Blob.objects.order_by("pk")[0].key
    open_at = BlobStore.open_at

    def fail(store: BlobStore, key: str, offset: int = 0, size: int | None = None) -> Any:
        if key == broken:
            raise error
        return open_at(store, key, offset, size)

    monkeypatch.setattr(BlobStore, "open_at", fail)


def test_an_object_that_the_disk_cannot_read_is_corrupt(four: None, monkeypatch: pytest.MonkeyPatch) -> None:
    break_disk(monkeypatch, OSError(errno.EIO, "Input/output error"))

    be_later(HOUR)
    due.run_due()

    assert Blob.objects.get(is_corrupt=True).pk == 1


def test_an_object_that_fails_otherwise_is_passed_by(four: None, monkeypatch: pytest.MonkeyPatch) -> None:
    break_disk(monkeypatch, OSError(errno.EMFILE, "Too many open files"))

    be_later(HOUR)

    assert not due.run_due()
    be_later(HOUR)
    assert due.run_due()
    assert not Blob.objects.filter(is_corrupt=True).exists()
    assert (Scrub.objects.get().position, Scrub.objects.get().failures) == (2, 1)


def test_blobs_are_spread_over_the_time(four: None) -> None:
    positions = [Scrub.objects.get().position]
    for _ in range(4):
        be_later(HOUR)
        due.run_due()
        due.run_due()
        positions.append(Scrub.objects.get().position)

    assert positions == [0, 1, 2, 3, 4]


def test_a_new_round_begins_when_one_ends(four: None) -> None:
    for _ in range(5):
        be_later(HOUR)
        due.run_due()

    row = Scrub.objects.get()
    assert (row.position, row.rounds, row.checked) == (1, 1, 1)


def test_what_was_missed_is_not_made_up_for_at_once(four: None) -> None:
    """Ten days without a server: what is late by now, and what the last hour would have had."""
    be_later(timedelta(days=10))

    due.run_due()

    assert Scrub.objects.get().checked == 2


def test_a_blob_that_is_healed_while_it_is_read_is_not_marked(four: None) -> None:
    object_file("objects/00/1").write_bytes(b"x")
    be_later(HOUR)

    scrub.run_slice(lambda: heal(1))

    assert Scrub.objects.get().position == 1
    assert not Blob.objects.filter(is_corrupt=True).exists()


def heal(pk: int) -> None:
    """Give the blob another object, as a push of its bytes does."""
    Blob.objects.filter(pk=pk).update(key="objects/00/healed")


def test_a_stop_ends_the_reading_in_the_middle_of_a_blob(four: None) -> None:
    be_later(HOUR)
    passed = []

    def stop_at_the_first_piece() -> None:
        passed.append(True)
        if len(passed) == 2:
            raise StopError("told to stop")

    with pytest.raises(StopError):
        due.run_due(stop_at_the_first_piece)

    assert Scrub.objects.get().position == 0
    assert not lease.is_taken(Job.SCRUBBING)
    due.run_due()
    assert Scrub.objects.get().position == 1


def test_a_storage_that_is_not_mounted_is_no_reason_to_forget_blobs(four: None, tmp_path: Path) -> None:
    (tmp_path / "objects").rename(tmp_path / "away")
    be_later(HOUR)

    assert not due.run_due()

    assert not Blob.objects.filter(is_corrupt=True).exists()
    assert Scrub.objects.get().position == 0


def test_a_storage_that_goes_away_meanwhile_is_no_reason_either(four: None, tmp_path: Path) -> None:
    be_later(HOUR)

    def unmount() -> None:
        if (tmp_path / "objects").exists():
            (tmp_path / "objects").rename(tmp_path / "away")

    assert not due.run_due(unmount)

    assert not Blob.objects.filter(is_corrupt=True).exists()
    assert Scrub.objects.get().position == 0


def test_reading_promises_nothing(alice: Caller, scrubbing: Scrubbing) -> None:
    push_blob(alice, APP, b"bytes")
    before = list(Link.objects.values())
    scrubbing(HOUR)

    read_all()

    assert Scrub.objects.get().checked == 1
    assert list(Link.objects.values()) == before


def test_a_process_is_started_when_some_are_late(four: None) -> None:
    is_due = []
    for minutes in (60, 9, 2):
        be_later(timedelta(minutes=minutes))
        is_due.append(due.is_anything_due())

    assert is_due == [False, False, True]


def test_blobs_are_read_by_one_process_at_a_time(four: None) -> None:
    be_later(2 * HOUR)
    with lease.acquire(Job.SCRUBBING):
        assert not due.is_anything_due()
        assert due.run_due()

    assert Scrub.objects.get().position == 0


def test_a_registry_without_blobs_has_nothing_to_read(prepared: None, scrubbing: Scrubbing) -> None:
    scrubbing(HOUR)

    read_all()

    assert Scrub.objects.get().checked == 0
    assert not due.is_anything_due()


def test_the_admin_shows_how_far_it_is(four: None, client: Client) -> None:
    client.force_login(Account.objects.create_superuser("root", "root's password"))

    page = client.get("/admin/gc/scrub/")

    assert b"round 1" in page.content
    assert client.get("/admin/gc/scrub/add/").status_code == 403
    assert client.post("/admin/gc/scrub/1/change/", {"position": "9"}).status_code == 403


def ask_meanwhile() -> None:
    """Ask for a run while blobs are read."""
    if lease.is_taken(Job.SCRUBBING) and not Run.objects.exists():
        queue.add(Run(grace_period=HOUR, remove_untagged=False), "root")


def test_a_run_that_is_asked_for_comes_before_the_next_blob(four: None) -> None:
    be_later(4 * HOUR)

    due.run_due(ask_meanwhile)

    assert (Scrub.objects.get().checked, Run.objects.get().state) == (1, "requested")
    due.run_due()
    assert (Scrub.objects.get().checked, Run.objects.get().state) == (2, "done")


def test_a_run_that_waits_for_another_keeps_no_blob_from_being_read(four: None) -> None:
    be_later(4 * HOUR)

    with lease.acquire(Job.COLLECTION):
        due.run_due(ask_meanwhile)

    assert Run.objects.get().state == "requested"
    assert Scrub.objects.get().checked == 2
