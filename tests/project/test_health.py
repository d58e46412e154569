"""`GET /health`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from collector.models import Run
from registry_project.configuration.values import Reserve
from registry_project.version import VERSION

DAY = timedelta(days=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def prepared_storage() -> None:
    """Make the storage's folders, as the start does."""
    storages["blobs"].prepare()  # type: ignore[attr-defined]


def refuse(execute: Callable[..., Any], *args: Any) -> None:
    """Stand in for a database that went away."""
    raise OperationalError("gone: password=geheim")


def test_a_registry_that_reaches_everything_answers_200(prepared_storage: None, client: Client) -> None:
    response = client.get("/health")

    assert response.status_code == 200
    states = {"database": "ok", "storage": "ok", "space": "ok", "collection": "ok"}
    assert response.json() == {"status": "ok", "version": VERSION} | states


def test_a_database_that_does_not_answer_is_named_and_nothing_more(prepared_storage: None, client: Client) -> None:
    with connection.execute_wrapper(refuse):
        response = client.get("/health")

    assert response.status_code == 503
    states = {"database": "unavailable", "storage": "ok", "space": "ok", "collection": "unknown"}
    assert response.json() == {"status": "unavailable", "version": VERSION} | states


def test_a_storage_that_does_not_answer_is_named(client: Client, settings: Settings, tmp_path: Path) -> None:
    blobs = settings.STORAGES["blobs"] | {"OPTIONS": {"location": str(tmp_path / "gone")}}
    settings.STORAGES = settings.STORAGES | {"blobs": blobs}

    response = client.get("/health")

    assert response.status_code == 503
    states = {"database": "ok", "storage": "unavailable", "space": "unknown", "collection": "ok"}
    assert response.json() == {"status": "unavailable", "version": VERSION} | states


def test_a_disk_below_its_reserve_is_told_and_still_200(
    prepared_storage: None, client: Client, settings: Settings
) -> None:
    storage = replace(settings.REGISTRY.storage, min_free=Reserve(2**62, None))
    settings.REGISTRY = replace(settings.REGISTRY, storage=storage)

    response = client.get("/health")

    assert (response.status_code, response.json()["space"]) == (200, "low")


@pytest.fixture
def late() -> None:
    """Have collected three days ago for the last time."""
    run = Run.objects.create(
        started_at=Now(), state="done", trigger="schedule", grace_period=DAY, remove_untagged=False
    )
    Run.objects.filter(pk=run.pk).update(started_at=Now() - 3 * DAY)


def test_collection_that_is_overdue_is_told_and_still_200(prepared_storage: None, late: None, client: Client) -> None:
    response = client.get("/health")

    assert (response.status_code, response.json()["collection"]) == (200, "overdue")


def test_collection_that_never_was_is_overdue_too(prepared_storage: None, client: Client) -> None:
    MigrationRecorder.Migration.objects.filter(app="gc").update(applied=Now() - 3 * DAY)

    assert client.get("/health").json()["collection"] == "overdue"


def test_collection_that_is_not_wanted_is_told(
    prepared_storage: None, late: None, client: Client, settings: Settings
) -> None:
    section = replace(settings.REGISTRY.garbage_collector, is_enabled=False)
    settings.REGISTRY = replace(settings.REGISTRY, garbage_collector=section)

    assert client.get("/health").json()["collection"] == "disabled"


def test_a_probe_asks_the_database_once(prepared_storage: None, client: Client) -> None:
    with CaptureQueriesContext(connection) as queries:
        client.get("/health")

    assert len(queries) == 1


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
