"""Uploads that nobody goes on with, and the trash."""

from datetime import timedelta

import pytest
from django.core.files.storage import storages
from django.db.models import Q
from django.db.models.functions import Now

from collector import expiry
from collector.report import Report
from collector.throttle import StopError, Throttle
from core.api.errors import unavailable
from core.db import clock, transactions
from distribution.models import Repository, Trash, Upload
from tests.caller import Caller
from tests.collector.runs import DAY, collect, pass_time
from tests.collector.storage import objects
from tests.images import push_blob
from tests.storages import object_file

APP = "alice/app"


def _start(alice: Caller, *parts: bytes) -> str:
    location = alice.post(f"/v2/{APP}/blobs/uploads/")["Location"]
    for part in parts:
        response = alice.patch(location, part)
        assert response.status_code == 202
        location = response["Location"]
    return str(location)


def test_an_upload_that_nobody_goes_on_with_ends_and_its_bytes_go(alice: Caller) -> None:
    location = _start(alice, b"one", b"two")
    pass_time()

    collect()
    pass_time()
    collect()

    assert alice.patch(location, b"three").status_code == 404
    assert objects() == set()
    assert not Trash.objects.exists()


def test_an_upload_is_kept_for_a_day_whatever_the_grace_period(alice: Caller) -> None:
    location = _start(alice, b"one")
    pass_time(DAY - timedelta(minutes=1))

    collect(grace=timedelta())

    assert alice.patch(location, b"two").status_code == 202


def test_an_upload_without_bytes_is_kept_for_an_hour(alice: Caller) -> None:
    location = _start(alice)
    pass_time(timedelta(minutes=59))
    collect()
    assert alice.get(location).status_code == 204

    pass_time(timedelta(minutes=2))
    collect()

    assert alice.get(location).status_code == 404


def test_an_upload_that_ends_takes_the_repository_that_it_made_with_it(alice: Caller) -> None:
    _start(alice, b"one")
    push_blob(alice, "alice/kept", b"bytes")
    alice.post("/v2/alice/kept/blobs/uploads/")
    pass_time()

    expiry.expire_uploads(clock.now(), Q(), Report(), Throttle())

    assert not Upload.objects.exists()
    assert list(Repository.objects.values_list("name", flat=True)) == ["alice/kept"]


def test_an_old_upload_that_somebody_writes_to_is_kept(alice: Caller) -> None:
    _start(alice, b"one")
    pass_time()
    Upload.objects.update(leased_until=Now() + timedelta(seconds=30))

    collect()

    assert Upload.objects.exists()


def test_trash_is_kept_until_it_is_due(prepared: None) -> None:
    object_file("objects/00/due").touch()
    object_file("objects/00/not-yet").touch()
    Trash.objects.create(key="objects/00/due", delete_after=Now())
    Trash.objects.create(key="objects/00/not-yet", delete_after=Now() + timedelta(minutes=1))

    report = collect()

    assert objects() == {"objects/00/not-yet"}
    assert report.objects == 1


def test_nothing_is_forgotten_while_the_storage_is_not_mounted(db: None) -> None:
    Trash.objects.create(key="objects/00/due", delete_after=Now())

    with pytest.raises(FileNotFoundError):
        collect()

    assert Trash.objects.exists()


def fill_trash(alice: Caller, *contents: bytes) -> list[str]:
    """Delete blobs of these contents, and return the keys of their objects, which are due."""
    for content in contents:
        digest = push_blob(alice, APP, content)
        alice.delete(f"/v2/{APP}/blobs/{digest}")
    Trash.objects.update(delete_after=Now() - timedelta(minutes=1))
    return list(Trash.objects.order_by("delete_after", "pk").values_list("key", flat=True))


@pytest.mark.django_db(transaction=True)
def test_an_object_that_leaves_the_trash_meanwhile_is_not_deleted(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = fill_trash(alice, b"first", b"last")
    monkeypatch.setattr(expiry, "OBJECTS_AT_ONCE", 1)

    def take_out() -> None:
        Trash.objects.filter(key=last).delete()

    expiry.empty_trash(clock.now(), Report(), Throttle(take_out))

    assert not storages["blobs"].exists(first)
    assert storages["blobs"].exists(last)


@pytest.mark.django_db(transaction=True)
def test_rows_that_can_not_be_removed_keep_no_other_object_from_being_deleted(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = fill_trash(alice, b"first", b"last")
    monkeypatch.setattr(expiry, "OBJECTS_AT_ONCE", 1)
    run_volatile, failures = transactions.run_volatile, [unavailable("the database is busy")]

    def fail_once(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return run_volatile(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(transactions, "run_volatile", fail_once)
    report = Report()

    expiry.empty_trash(clock.now(), report, Throttle())

    assert (report.objects, report.failures) == (1, 1)
    assert list(Trash.objects.values_list("key", flat=True)) == [keys[0]]


@pytest.mark.django_db(transaction=True)
def test_the_run_can_be_stopped_after_each_object(alice: Caller) -> None:
    fill_trash(alice, b"first", b"last")

    def stop() -> None:
        raise StopError("enough")

    with pytest.raises(StopError):
        expiry.empty_trash(clock.now(), Report(), Throttle(stop))

    assert Trash.objects.count() == 1
