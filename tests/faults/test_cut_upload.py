"""An upload that is cut, by its client, by a dead worker or by a server that is told to stop, goes on elsewhere."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from distribution.uploads.leases import LEASE
from tests.clients.server import started
from tests.faults.commands import Commands
from tests.faults.pusher import CONNECTION_ERRORS, SHARED, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of

MEBIBYTE = 1 << 20
PATIENCE_SECONDS = 60


def content_of(alice: Pusher) -> bytes:
    """Return three mebibytes of the test's own."""
    return (alice.repository.encode() * MEBIBYTE)[: 3 * MEBIBYTE]


def begin(alice: Pusher, location: str, content: bytes, sent: int) -> socket.socket:
    """Announce the whole content to the session, send the first `sent` bytes of it, and return the connection."""
    connection = socket.create_connection(("127.0.0.1", alice.server.port), timeout=PATIENCE_SECONDS)
    head = (
        f"PATCH {location} HTTP/1.1\r\nHost: {alice.server.host}\r\nAuthorization: Bearer {alice.token}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    connection.sendall(head.encode() + content[:sent])
    return connection


def wait_until_stored(registry: Registry, size: int) -> None:
    """Return once the storage holds `size` bytes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while registry.stored_bytes() < size:
        assert time.monotonic() < deadline, f"the server has not stored {size} bytes"
        time.sleep(0.02)


def wait_until_it_stands_at(alice: Pusher, location: str, offset: int) -> None:
    """Return once the session has that many bytes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while alice.send("GET", location).headers["range"] != f"0-{offset - 1}":
        assert time.monotonic() < deadline, "the session never got there"
        time.sleep(0.02)


def finish(alice: Pusher, location: str, content: bytes, offset: int) -> None:
    """Send the rest and end the session."""
    answer = alice.send("PATCH", location, content[offset:], **{"Content-Range": f"{offset}-{len(content) - 1}"})
    assert answer.status == 202, answer.body
    alice.expect(201, "PUT", f"{location}?digest={digest_of(content)}", b"")


def test_an_upload_that_its_client_cut_goes_on_at_another_worker(registry: Registry, commands: Commands) -> None:
    alice = Pusher(registry, "alice/cut")
    content, location = content_of(alice), alice.start()
    with closing(begin(alice, location, content, 2 * MEBIBYTE)) as connection:
        connection.shutdown(socket.SHUT_WR)
        wait_until_it_stands_at(alice, location, 2 * MEBIBYTE)

    registry.replace_worker()
    finish(alice, location, content, 2 * MEBIBYTE)

    assert alice.send("GET", f"blobs/{digest_of(content)}").body == content
    assert commands.run("fsck", "--deep").output == "no problems\n"


def test_an_upload_whose_worker_died_goes_on_within_seconds(registry: Registry, commands: Commands) -> None:
    alice = Pusher(registry, "alice/dead")
    content, location = content_of(alice), alice.start()
    alice.expect(202, "PATCH", location, content[:MEBIBYTE])
    registry.arm("upload.after_write=kill")
    (worker,) = registry.workers()
    with pytest.raises(CONNECTION_ERRORS):
        alice.send("PATCH", location, content[MEBIBYTE:])
    registry.wait_for_another(worker)

    busy = alice.send("PATCH", location, content[MEBIBYTE:])
    waited = alice.insist(202, "PATCH", location, content[MEBIBYTE:])
    alice.expect(201, "PUT", f"{location}?digest={digest_of(content)}", b"")

    assert (busy.status, json.loads(busy.body)["errors"][0]["code"]) == (503, "UNAVAILABLE")
    assert waited < 2 * LEASE.total_seconds()
    assert alice.send("GET", f"blobs/{digest_of(content)}").body == content
    assert commands.run("fsck", "--deep").output == "no problems\n"


@pytest.fixture
def stopping(tmp_path: Path) -> Iterator[Registry]:
    """Run a registry that is to stop."""
    registry = Registry(tmp_path)
    with started(registry):
        yield registry


def test_a_server_that_is_told_to_stop_takes_the_rest_of_an_upload_first(stopping: Registry) -> None:
    alice = Pusher(stopping, SHARED)
    content, location = content_of(alice), alice.start()
    with closing(begin(alice, location, content, 2 * MEBIBYTE)) as connection:
        wait_until_stored(stopping, MEBIBYTE)
        stopping.terminate()
        connection.sendall(content[2 * MEBIBYTE :])
        answer = connection.recv(64)
    stopping.end()

    stopping.start()
    alice.expect(201, "PUT", f"{location}?digest={digest_of(content)}", b"")

    assert answer.startswith(b"HTTP/1.1 202 ")
    assert alice.send("GET", f"blobs/{digest_of(content)}").body == content
    assert stopping.manage("fsck", "--deep").stdout == "no problems\n"
