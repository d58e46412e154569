"""`GET /health`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import storages
from django.db import OperationalError, connection
from django.test import Client
from pytest_django import Settings

from registry_project.configuration.values import Reserve

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
    assert response.json() == {"status": "ok", "database": "ok", "storage": "ok", "space": "ok"}


def test_a_database_that_does_not_answer_is_named_and_nothing_more(prepared_storage: None, client: Client) -> None:
    with connection.execute_wrapper(refuse):
        response = client.get("/health")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "database": "unavailable", "storage": "ok", "space": "ok"}


def test_a_storage_that_does_not_answer_is_named(client: Client, settings: Settings, tmp_path: Path) -> None:
    blobs = settings.STORAGES["blobs"] | {"OPTIONS": {"location": str(tmp_path / "gone")}}
    settings.STORAGES = settings.STORAGES | {"blobs": blobs}

    response = client.get("/health")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "database": "ok", "storage": "unavailable", "space": "unknown"}


def test_a_disk_below_its_reserve_is_told_and_still_200(
    prepared_storage: None, client: Client, settings: Settings
) -> None:
    storage = replace(settings.REGISTRY.storage, min_free=Reserve(2**62, None))
    settings.REGISTRY = replace(settings.REGISTRY, storage=storage)

    response = client.get("/health")

    assert (response.status_code, response.json()["space"]) == (200, "low")


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
