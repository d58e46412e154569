"""`GET /livez` and `GET /readyz`."""

from collections.abc import Callable

import pytest
from django.test import Client

from core.api.notes import DRAINING
from registry_project import health
from tests.registry_project.test_health import next_connections, refuse

__all__ = ["next_connections"]

# The probe has connections of its own, which see nothing of a transaction that a test runs in.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a check take its time on a slow machine too."""
    monkeypatch.setattr(health, "READ_PATIENCE_SECONDS", 60.0)


def test_a_process_is_ready_when_it_reads_the_database(client: Client) -> None:
    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ready"})


def test_a_process_without_database_is_alive_and_not_ready(
    client: Client, next_connections: Callable[[Callable[..., None]], None]
) -> None:
    next_connections(refuse)

    alive, ready = client.get("/livez"), client.get("/readyz")

    assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})


def test_a_process_that_stops_is_alive_and_not_ready(client: Client) -> None:
    client.defaults[DRAINING] = "1"

    alive, ready = client.get("/livez"), client.get("/readyz")

    assert alive.status_code == 200
    assert (ready.status_code, ready.json()) == (503, {"status": "draining"})


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_is_never_cached_and_only_read(client: Client, path: str) -> None:
    assert client.get(path)["Cache-Control"] == "no-store"
    assert client.head(path).status_code == 200
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_a_probe_asks_by_the_address_of_a_pod(client: Client, path: str) -> None:
    assert client.get(path, headers={"host": "10.42.0.17:5000"}).status_code == 200
