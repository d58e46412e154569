"""kill -9 of the workers while a client pushes."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.images import digest_of, image, random_layer
from tests.clients.server import Server

MEBIBYTE = 1 << 20


def begin_push(server: Server, repository: str, payload: bytes) -> socket.socket:
    """Start a chunked PATCH, send `payload` and no end of it, and return the open connection."""
    token = server.token("alice", f"repository:{repository}:pull,push")
    path = f"/v2/{repository}/blobs/uploads/"
    upload = server.request("POST", path, authorization=f"Bearer {token}", body=b"")
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
    head = (
        f"PATCH {upload.headers['location']} HTTP/1.1\r\nHost: {server.host}\r\n"
        f"Authorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    connection.sendall(head.encode())
    for start in range(0, len(payload), MEBIBYTE):
        chunk = payload[start : start + MEBIBYTE]
        connection.sendall(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
    return connection


def wait_until_stored(server: Server, size: int) -> None:
    """Return once the server has written `size` bytes to its storage."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if sum(file.stat().st_size for file in server.data.glob("objects/**/*") if file.is_file()) >= size:
            return
        time.sleep(0.05)
    raise AssertionError(f"the server has not stored {size} bytes")


def kill_workers(server: Server) -> None:
    """Kill all workers and return once new ones answer."""
    killed = server.workers()
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while set(killed) & set(server.workers()) and time.monotonic() < deadline:
        time.sleep(0.05)
    server.wait_until_healthy()


@pytest.mark.client("skopeo")
def test_a_push_that_a_dead_worker_cut_succeeds_when_it_is_tried_again(
    server: Server, skopeo: LogIn, tmp_path: Path
) -> None:
    alice, layer = skopeo("alice"), random_layer(16 * MEBIBYTE)
    source = image(tmp_path / "image", layer)
    before = sum(blob.size for blob in server.blobs())
    connection = begin_push(server, "alice/killed", layer.payload[: 8 * MEBIBYTE])
    wait_until_stored(server, before + 4 * MEBIBYTE)

    kill_workers(server)
    connection.close()
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/killed:v1"))

    assert digest_of(layer.payload) in {blob.digest for blob in server.blobs()}
    assert [blob for blob in server.blobs() if not blob.file.is_file()] == []
    assert [blob for blob in server.blobs() if blob.file.stat().st_size != blob.size] == []


def test_what_a_dead_worker_left_is_no_blob(server: Server) -> None:
    payload = random_layer(8 * MEBIBYTE).payload
    before = server.blobs()
    connection = begin_push(server, "alice/half", payload)
    wait_until_stored(server, sum(blob.size for blob in before) + 4 * MEBIBYTE)

    kill_workers(server)
    connection.close()

    assert server.blobs() == before
