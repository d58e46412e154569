"""kill -9 of the workers while a client pushes."""

import os
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import Layout, image, random_layer
from tests.clients.program import Program
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
    """Return once the storage holds `size` bytes."""
    deadline = time.monotonic() + 60
    while server.stored_bytes() < size:
        assert time.monotonic() < deadline, f"the server has not stored {size} bytes"
        time.sleep(0.02)


def kill_workers(server: Server) -> None:
    """Kill all workers and return once new ones answer."""
    killed = server.workers()
    assert killed
    for worker in killed:
        os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while set(killed) & set(server.workers()) and time.monotonic() < deadline:
        time.sleep(0.02)
    server.wait_until_healthy()


def push_until_done(client: Program, layout: Layout, remote: str) -> int:
    """Push as someone does who sees an error and tries again; return how often that was."""
    attempts = 1
    while client.call("copy", "--preserve-digests", layout.reference("v1"), client.docker(remote)).returncode:
        attempts += 1
        assert attempts < 30, f"{remote} never got in"
    return attempts


def pull(client: Program, remote: str, folder: Path) -> dict[str, bytes]:
    """Pull an image and return what came, by digest."""
    client.run("copy", "--preserve-digests", client.docker(remote), f"oci:{folder}:v1")
    return {f"sha256:{file.name}": file.read_bytes() for file in folder.glob("blobs/sha256/*")}


@pytest.mark.client("skopeo")
def test_a_push_that_a_dead_worker_cut_succeeds_when_it_is_tried_again(
    server: Server, skopeo: LogIn, tmp_path: Path
) -> None:
    alice, layer = skopeo("alice"), random_layer(16 * MEBIBYTE)
    source, before = image(tmp_path / "image", layer), server.stored_bytes()
    connection = begin_push(server, "alice/killed", layer.payload[: 8 * MEBIBYTE])
    wait_until_stored(server, before + 4 * MEBIBYTE)

    kill_workers(server)
    connection.close()
    alice.run("copy", "--preserve-digests", source.reference("v1"), alice.docker("alice/killed:v1"))

    assert pull(alice, "alice/killed:v1", tmp_path / "pulled") == source.blobs()
    assert [blob for blob in server.blobs() if not blob.is_sound()] == []


def test_what_a_dead_worker_left_is_no_blob(server: Server) -> None:
    payload = random_layer(8 * MEBIBYTE).payload
    blobs, before = server.blobs(), server.stored_bytes()
    connection = begin_push(server, "alice/half", payload)
    wait_until_stored(server, before + 4 * MEBIBYTE)

    kill_workers(server)
    connection.close()

    assert server.blobs() == blobs


@pytest.mark.client("skopeo")
def test_a_crowd_whose_workers_die_all_the_time_gets_everything_in(
    server: Server, skopeo: LogIn, tmp_path: Path
) -> None:
    clients = [skopeo("alice") for _ in range(8)]
    layouts = [image(tmp_path / f"image-{n}", random_layer(8 * MEBIBYTE)) for n in range(8)]
    before = server.stored_bytes()

    with ThreadPoolExecutor(8) as crowd:
        pushes = [
            crowd.submit(push_until_done, client, layout, f"alice/dying-{n}:v1")
            for n, (client, layout) in enumerate(zip(clients, layouts, strict=True))
        ]
        for step in range(1, 5):
            wait_until_stored(server, before + step * 10 * MEBIBYTE)
            kill_workers(server)
        attempts = [push.result() for push in pushes]

    assert max(attempts) > 1
    assert [blob for blob in server.blobs() if not blob.is_sound()] == []
    for n, (client, layout) in enumerate(zip(clients, layouts, strict=True)):
        assert pull(client, f"alice/dying-{n}:v1", tmp_path / f"pulled-{n}") == layout.blobs()
