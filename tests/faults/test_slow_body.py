"""Clients whose bodies come slowly, more of them than there are connections to the database: nobody else waits."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.conftest import serving
from tests.faults.pusher import SHARED, Pusher
from tests.faults.registry import Registry

# More than the pool of a worker has.
CLIENTS = 10
LENGTH = 1000


class SmallRegistry(Registry):
    """One whose worker has a pool of eight connections."""

    def configuration(self) -> dict[str, object]:
        server = super().configuration()["server"]
        assert isinstance(server, dict)
        return super().configuration() | {"server": server | {"threads": 4}}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallRegistry]:
    """Run it with one image."""
    registry = SmallRegistry(tmp_path)
    with serving(registry):
        yield registry


def slow_clients(registry: Registry, line: str, *headers: str) -> ExitStack:
    """Send the head of a request and the first byte of its body from each client, and leave it at that."""
    clients = ExitStack()
    lines = [f"{line} HTTP/1.1", f"Host: {registry.host}", f"Content-Length: {LENGTH}", *headers, "", "{"]
    for _ in range(CLIENTS):
        client = clients.enter_context(socket.create_connection((registry.host.partition(":")[0], registry.port)))
        client.sendall("\r\n".join(lines).encode())
    return clients


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (f"PUT /v2/{SHARED}/manifests/slow", "application/vnd.oci.image.manifest.v1+json"),
        ("POST /v2/token", "application/x-www-form-urlencoded"),
        ("POST /admin/login/", "application/x-www-form-urlencoded"),
    ],
)
def test_bodies_that_come_slowly_hold_no_connection_to_the_database(small: Registry, line: str, kind: str) -> None:
    alice = Pusher(small, SHARED)
    token = alice.token

    with slow_clients(small, line, f"Content-Type: {kind}", f"Authorization: Bearer {token}", "Cookie: sessionid=none"):
        # Until each has a thread that waits for it.
        time.sleep(1)
        answer = alice.send("GET", "manifests/kept")

    assert answer.status == 200
