"""`GET /health`."""

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connection
from django.db.backends.signals import connection_created
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from collector.models import Run
from configuration.values import Reserve
from core import failpoints
from distribution.storage.blob_store import blob_store
from provisioning.models import Probe
from registry_project import health, probes
from registry_project.version import VERSION
from tests.s3.refusing import refusing
from tests.s3.servers import options_of
from tests.storages import object_file

DAY = timedelta(days=1)
OK = {"version": VERSION, "database": "ok", "storage": "ok", "space": "ok", "collection": "ok"}

# The probe has connections of its own, which see nothing of a transaction that a test runs in.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a check take its time, and its result be fresh, on a slow machine too."""
    for name in ("READ_PATIENCE_SECONDS", "WRITE_PATIENCE_SECONDS", "FRESH_SECONDS"):
        monkeypatch.setattr(health, name, 60.0)


@pytest.fixture
def prepared_storage() -> None:
    """Make the storage's folders, as the start does."""
    blob_store().prepare()


@pytest.fixture
def next_connections() -> Iterator[Callable[[Callable[..., None]], None]]:
    """Return a function that takes what is to be done with each connection that is made from then on."""
    receivers: list[Callable[..., None]] = []

    def do(receiver: Callable[..., None]) -> None:
        receivers.append(receiver)
        connection_created.connect(receiver)

    yield do
    for receiver in receivers:
        connection_created.disconnect(receiver)
    # Who comes next has a connection with which nothing was done.
    connection.close()


def refuse(**_kwargs: Any) -> None:
    """Stand in for a database that went away."""
    raise OperationalError("gone: password=geheim")


def make_read_only(connection: Any, **_kwargs: Any) -> None:
    """Let a connection be one to a database that is not to be written."""
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA query_only = ON" if is_sqlite else "SET default_transaction_read_only = on")


@contextmanager
def locked() -> Iterator[None]:
    """Keep everybody else from writing the row."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(values["NAME"], isolation_level=None)) as blocker:
            blocker.execute("BEGIN IMMEDIATE")
            yield
        return
    with psycopg.connect(host=values["HOST"], port=values["PORT"], user=values["USER"], dbname=values["NAME"]) as other:
        other.execute("LOCK TABLE registry_project_probe IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def test_a_registry_that_reaches_everything_answers_200(prepared_storage: None, client: Client) -> None:
    response = client.get("/health")

    assert response.status_code == 200
    assert response.json() == {"status": "ok"} | OK


def test_a_database_that_does_not_answer_is_named_and_nothing_more(
    prepared_storage: None, client: Client, next_connections: Callable[[Callable[..., None]], None]
) -> None:
    next_connections(refuse)

    response = client.get("/health")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable"} | OK | {"database": "unavailable", "collection": "unknown"}


def test_a_database_that_is_read_only_is_told_and_still_200(
    prepared_storage: None, client: Client, next_connections: Callable[[Callable[..., None]], None]
) -> None:
    next_connections(make_read_only)

    response = client.get("/health")

    assert response.status_code == 200
    assert response.json() == {"status": "degraded"} | OK | {"database": "not writable: read-only"}


def test_a_database_that_is_locked_is_told_and_still_200(prepared_storage: None, client: Client) -> None:
    with locked():
        response = client.get("/health")

    assert response.status_code == 200
    assert response.json() == {"status": "degraded"} | OK | {"database": "not writable: busy"}


def test_a_storage_that_does_not_answer_is_named(client: Client, settings: Settings, tmp_path: Path) -> None:
    blobs = settings.STORAGES["blobs"] | {"OPTIONS": {"location": str(tmp_path / "gone")}}
    settings.STORAGES = settings.STORAGES | {"blobs": blobs}

    response = client.get("/health")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable"} | OK | {"storage": "unavailable", "space": "unknown"}


@pytest.mark.parametrize(
    ("error", "reason"), [("ENOSPC", "disk full"), ("EROFS", "read-only"), ("EIO", "disk failed"), ("EPERM", "failed")]
)
def test_a_storage_that_takes_nothing_is_told_and_still_200(
    prepared_storage: None, client: Client, error: str, reason: str
) -> None:
    failpoints.arm(f"upload.write=error:{error}")
    try:
        response = client.get("/health")
    finally:
        failpoints.arm("")

    assert response.status_code == 200
    assert response.json() == {"status": "degraded"} | OK | {"storage": f"not writable: {reason}"}


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "RequestTimeTooSkewed", "clock skew"),
        (403, "SignatureDoesNotMatch", "refused"),
        (403, "AccessDenied", "refused"),
        (400, "AuthorizationHeaderMalformed", "wrong region"),
        (404, "NoSuchBucket", "no bucket"),
        (507, "XMinioStorageFull", "full"),
    ],
)
def test_a_bucket_that_s3_refuses_is_told_with_the_reason(
    client: Client, settings: Settings, status: int, code: str, reason: str
) -> None:
    with refusing(status, code) as endpoint:
        backend = "distribution.storage.s3.RegistryS3Storage"
        settings.STORAGES = settings.STORAGES | {"blobs": {"BACKEND": backend, "OPTIONS": options_of(endpoint, "b")}}
        response = client.get("/health")

    assert response.status_code == 503
    assert (response.json()["status"], response.json()["storage"]) == ("unavailable", f"unavailable: {reason}")


def test_what_was_written_to_the_storage_is_gone(prepared_storage: None, client: Client) -> None:
    folder = object_file("")
    before = sorted(folder.rglob("*"))

    client.get("/health")

    assert sorted(folder.rglob("*")) == before


def test_what_a_killed_process_left_goes_with_the_next_probe(prepared_storage: None, client: Client) -> None:
    left = object_file("probe-0123456789abcdef")
    left.write_bytes(b"")

    answer = client.get("/health")

    assert answer.json() == {"status": "ok"} | OK
    assert not left.exists()


def test_a_storage_in_which_something_could_once_not_be_deleted_is_ok_again(
    prepared_storage: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def fail(_storage: object, _name: str) -> None:
            raise OSError(errno.EIO, "input/output error")

        patch.setattr(type(storages["blobs"]), "delete", fail)
        then = probes.write_storage()

    assert (then, probes.write_storage()) == ("not writable: disk failed", "ok")


def test_probes_at_short_intervals_write_once(prepared_storage: None, client: Client) -> None:
    client.get("/health")
    first = Probe.objects.get()

    assert client.get("/health").json()["database"] == "ok"

    assert Probe.objects.get().tried_at == first.tried_at


def test_a_disk_below_its_reserve_is_told_and_still_200(
    prepared_storage: None, client: Client, settings: Settings
) -> None:
    storage = replace(settings.REGISTRY.storage, min_free=Reserve(2**62, None))
    settings.REGISTRY = replace(settings.REGISTRY, storage=storage)

    response = client.get("/health")

    assert response.status_code == 200
    assert response.json() == {"status": "degraded"} | OK | {"space": "low"}


@pytest.fixture
def late() -> None:
    """Have collected three days ago for the last time."""
    run = Run.objects.create(
        started_at=Now(), state="done", trigger="schedule", grace_period=DAY, remove_untagged=False
    )
    Run.objects.filter(pk=run.pk).update(started_at=Now() - 3 * DAY)


def test_collection_that_is_overdue_is_told_and_still_200(prepared_storage: None, late: None, client: Client) -> None:
    response = client.get("/health")

    assert response.status_code == 200
    assert response.json() == {"status": "degraded"} | OK | {"collection": "overdue"}


def test_collection_that_never_was_is_overdue_too(prepared_storage: None, client: Client) -> None:
    first = MigrationRecorder.Migration.objects.filter(app="gc", name="0001_initial")
    (applied,) = first.values_list("applied", flat=True)
    first.update(applied=Now() - 3 * DAY)
    try:
        assert client.get("/health").json()["collection"] == "overdue"
    finally:
        first.update(applied=applied)


def test_collection_that_is_not_wanted_is_told_and_no_fault(
    prepared_storage: None, late: None, client: Client, settings: Settings
) -> None:
    section = replace(settings.REGISTRY.garbage_collector, is_enabled=False)
    settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=section)

    assert client.get("/health").json() == {"status": "ok"} | OK | {"collection": "disabled"}


def test_the_host_of_a_probe_does_not_matter(prepared_storage: None, client: Client, settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["registry.example.org"]

    response = client.get("/health", headers={"Host": "10.1.2.3:5000"})

    assert response.status_code == 200


def test_head_answers_as_get_without_a_body(prepared_storage: None, client: Client) -> None:
    response = client.head("/health")

    assert (response.status_code, response.content) == (200, b"")


def test_other_methods_are_405(client: Client) -> None:
    response = client.post("/health")

    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert response.json() == {"error": "method not allowed"}
    assert response["Content-Length"] == str(len(response.content))
