"""A run comes past every due row, whatever single rows do."""

import logging
from collections.abc import Callable

import pytest
from django.db.models.functions import Now

from collector import batches
from distribution.models import Link, Manifest, Repository, Trash, Upload
from tests.caller import Caller
from tests.collector.runs import collect, pass_time
from tests.collector.undeletable import break_deletion
from tests.images import Image, digest_of, manifest, push_blob, put_manifest
from tests.storages import object_file

APP = "alice/app"
Push = Callable[..., Image]


def test_a_broken_manifest_does_not_stop_a_run(push: Push, alice: Caller, caplog: pytest.LogCaptureFixture) -> None:
    broken, *_ = [push(APP, f"v{number}", b"layer %d" % number) for number in range(3)]
    for number in range(3):
        alice.delete(f"/v2/{APP}/manifests/v{number}")
    pass_time()
    break_deletion("distribution_manifest", Manifest.objects.get(digest=broken.digest).pk)

    with caplog.at_level(logging.ERROR):
        report = collect()

    assert list(Manifest.objects.values_list("digest", flat=True)) == [broken.digest]
    assert report.failures == 1
    assert "a due row is broken" in caplog.messages


def test_a_broken_link_does_not_stop_a_run(alice: Caller) -> None:
    for number in range(3):
        push_blob(alice, APP, b"blob %d" % number)
    pass_time()
    broken = Link.objects.order_by("pk")[0]
    break_deletion("distribution_link", broken.pk)

    report = collect()

    assert list(Link.objects.all()) == [broken]
    assert (report.failures, report.total.blobs) == (1, 2)


def test_an_object_that_cannot_be_deleted_waits_and_does_not_stop_a_run(prepared: None) -> None:
    object_file("objects/00/stuck/inside").mkdir(parents=True)
    Trash.objects.create(key="objects/00/stuck", delete_after=Now())
    Trash.objects.create(key="objects/00/absent", delete_after=Now())
    object_file("objects/00/fine").touch()
    Trash.objects.create(key="objects/00/fine", delete_after=Now())

    reports = [collect(), collect()]

    assert [row.key for row in Trash.objects.all()] == ["objects/00/stuck"]
    assert not object_file("objects/00/fine").exists()
    assert [report.failures for report in reports] == [1, 0]


def test_rows_of_one_moment_are_all_found_across_batches(prepared: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH", 2)
    repository = Repository.objects.create(name=APP)
    moment = Repository.objects.annotate(moment=Now()).values_list("moment", flat=True)[0]
    Upload.objects.bulk_create([Upload(repository=repository, active_at=moment) for _ in range(9)])
    pass_time()

    report = collect()

    assert report.uploads == 9
    assert not Upload.objects.exists()


@pytest.mark.parametrize("kind", ["blobs", "manifests"])
def test_what_is_asked_for_during_a_run_that_has_it_on_its_list_is_kept(alice: Caller, kind: str) -> None:
    payloads = [manifest(b"%d" % number) for number in range(3)]
    for number, payload in enumerate(payloads):
        push_blob(alice, APP, b"%d" % number)
        if kind == "manifests":
            put_manifest(alice, APP, digest_of(payload), payload)
    pass_time()
    last = digest_of(b"2") if kind == "blobs" else digest_of(payloads[2])

    def ask() -> None:
        alice.head(f"/v2/{APP}/{kind}/{last}")

    collect(watch=ask)

    assert alice.head(f"/v2/{APP}/{kind}/{last}").status_code == 200
    assert Link.objects.count() == 1
