"""Unfinished writes to S3 are found by fsck and aborted by the collector, once they are old."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from pytest_django import Settings

from collector import expiry
from collector.fsck import uploads
from collector.jobs import scrub
from collector.report import Report
from collector.throttle import Throttle
from core.db import clock
from core.start_error import StartError
from distribution import bucket_owner
from distribution.models import Repository, Segment, Trash, Upload
from distribution.storage.blob_store import blob_store, new_key
from distribution.uploads import sessions
from tests.s3.servers import S3Server

pytestmark = pytest.mark.django_db


@pytest.fixture
def bucket(seaweedfs: S3Server, settings: Settings) -> str:
    """Keep the blobs of the test in a new bucket, with one unfinished write, and return its name."""
    name = seaweedfs.make_bucket(f"collection-{uuid.uuid4().hex}")
    backend = {"BACKEND": "distribution.storage.s3.RegistryS3Storage", "OPTIONS": seaweedfs.options(name)}
    settings.STORAGES = settings.STORAGES | {"blobs": backend}
    seaweedfs.client.create_multipart_upload(Bucket=name, Key=new_key())
    return name


@pytest.fixture
def _a_day_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "EXPIRY", timedelta(0))


def test_a_young_write_goes_on(seaweedfs: S3Server, bucket: str) -> None:
    expiry.abort_unfinished_writes(Report(), Throttle())

    assert len(seaweedfs.unfinished(bucket)) == 1
    assert list(uploads.check_unfinished_writes()) == []


@pytest.mark.usefixtures("_a_day_later")
def test_the_collector_aborts_an_old_write(seaweedfs: S3Server, bucket: str) -> None:
    expiry.abort_unfinished_writes(Report(), Throttle())

    assert seaweedfs.unfinished(bucket) == []


@pytest.mark.usefixtures("_a_day_later")
def test_an_old_write_of_an_open_upload_goes_on(seaweedfs: S3Server, bucket: str) -> None:
    (key,) = seaweedfs.unfinished(bucket)
    upload = Upload.objects.create(repository=Repository.objects.create(name="alice/app"), active_at=Now())
    Segment.objects.create(upload=upload, key=key, start=0)

    expiry.abort_unfinished_writes(Report(), Throttle())

    assert seaweedfs.unfinished(bucket) == [key]
    assert list(uploads.check_unfinished_writes()) == []


@pytest.mark.usefixtures("_a_day_later")
def test_fsck_names_an_old_write_and_repairs_it(seaweedfs: S3Server, bucket: str) -> None:
    (problem,) = uploads.check_unfinished_writes()
    assert "never ended" in problem.what
    assert problem.repair is not None

    problem.repair()

    assert seaweedfs.unfinished(bucket) == []


@pytest.mark.usefixtures("_a_day_later")
def test_nothing_is_deleted_in_the_bucket_of_another_registry(
    seaweedfs: S3Server, bucket: str, settings: Settings
) -> None:
    key = new_key()
    seaweedfs.client.put_object(Bucket=bucket, Key=key, Body=b"theirs")
    seaweedfs.client.put_object(Bucket=bucket, Key="registry-id", Body=str(uuid.uuid4()).encode())
    Trash.objects.create(key=key, delete_after=Now())
    storage = replace(settings.REGISTRY.storage, scrub=timedelta(hours=1))
    settings.REGISTRY = replace(settings.REGISTRY, storage=storage)
    jobs = (
        lambda: expiry.empty_trash(clock.now(), Report(), Throttle()),
        lambda: expiry.abort_unfinished_writes(Report(), Throttle()),
        lambda: scrub.run_slice(lambda: None),
    )

    for job in jobs:
        with pytest.raises(StartError, match=f"{bucket} belongs to another registry"):
            job()

    assert key in seaweedfs.keys(bucket)
    assert len(seaweedfs.unfinished(bucket)) == 1


@pytest.mark.usefixtures("_a_day_later")
def test_objects_are_deleted_in_the_bucket_of_the_registry(seaweedfs: S3Server, bucket: str) -> None:
    key = new_key()
    seaweedfs.client.put_object(Bucket=bucket, Key=key, Body=b"ours")
    bucket_owner.check(blob_store(), bucket)
    Trash.objects.create(key=key, delete_after=Now())

    expiry.empty_trash(clock.now(), Report(), Throttle())

    assert seaweedfs.keys(bucket) == {"registry-id"}


def test_a_collection_goes_on_when_s3_refuses_the_list(bucket: str, settings: Settings) -> None:
    backend = settings.STORAGES["blobs"]
    wrong = {**backend, "OPTIONS": {**backend["OPTIONS"], "access_key": "unknown"}}
    settings.STORAGES = settings.STORAGES | {"blobs": wrong}
    report = Report()

    expiry.abort_unfinished_writes(report, Throttle())

    assert report.failures == 1
