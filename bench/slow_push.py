"""Push a layer for longer than a token lives: `python -m bench.slow_push`.

A server of its own (SQLite, a temporary folder, loopback) gives tokens for 60 seconds, the shortest life that it
takes; with the leeway for clocks that differ they count for 120. Two layers go up with the one token that was given
at the start, slowly enough to end after that: one in a single chunked PATCH, as docker sends it, and one in many.
The bytes are made while they are sent; the disk needs room for three times the size.

Exit status 1: a push failed, it was over while the token still counted, or the expired token did anything else.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from bench.memory import MEBIBYTE, PIECE_BYTES, Blob, call, location_after
from tests.clients.server import Server

REPOSITORY = "alice/slow"
LIFE_SECONDS = 60
# tokens/verify.py adds it to a token's life.
LEEWAY_SECONDS = 60
CHUNKS = 32


class ShortLivedServer(Server):
    """A server whose tokens live as short as it takes."""

    def configuration(self) -> dict[str, object]:
        """Return what config.yaml says."""
        return super().configuration() | {"auth": {"expiration": f"{LIFE_SECONDS}s"}}


@dataclass(frozen=True, slots=True)
class Pushed:
    """An upload that was answered with 201: in how many PATCH requests, in which session, when."""

    patches: int
    session: str
    ended_at: float


class Slow:
    """The pieces of a blob, spread evenly over `seconds` from now on."""

    def __init__(self, blob: Blob, seconds: float) -> None:
        self.seconds_a_byte = seconds / blob.size
        self.started = time.monotonic()
        self.sent = 0
        self.blob = blob

    def pieces(self) -> Iterator[bytes]:
        """Yield each piece when it is due."""
        for piece in self.blob.pieces():
            due = self.started + self.sent * self.seconds_a_byte
            time.sleep(max(0.0, due - time.monotonic()))
            self.sent += len(piece)
            yield piece


def push(server: Server, token: str, blob: Blob, patches: int, seconds: float) -> Pushed:
    """Upload `blob` in so many PATCH requests within `seconds`; exit when it does not end with a 201."""
    start = call(server, "POST", f"/v2/{REPOSITORY}/blobs/uploads/", token)
    upload = location_after(start, HTTPStatus.ACCEPTED)
    pieces = Slow(blob, seconds).pieces()
    pieces_a_patch = -(-blob.size // PIECE_BYTES // patches)
    for _ in range(patches):
        chunk = itertools.islice(pieces, pieces_a_patch)
        upload = location_after(call(server, "PATCH", upload, token, chunk), HTTPStatus.ACCEPTED)
    location_after(call(server, "PUT", f"{upload}?digest={blob.digest}", token), HTTPStatus.CREATED)
    return Pushed(patches, upload, time.monotonic())


def other_uses(digest: str, session: str) -> list[tuple[str, str]]:
    """Return requests that the token allowed while it counted, the last one in a session that is over."""
    return [
        ("GET", "/v2/"),
        ("GET", f"/v2/{REPOSITORY}/tags/list"),
        ("HEAD", f"/v2/{REPOSITORY}/blobs/{digest}"),
        ("GET", f"/v2/{REPOSITORY}/manifests/v1"),
        ("POST", f"/v2/{REPOSITORY}/blobs/uploads/"),
        ("PATCH", session),
    ]


def status_of(server: Server, method: str, path: str, token: str) -> int:
    """Return the status that a request without a body is answered with."""
    with closing(call(server, method, path, token)) as connection:
        response = connection.getresponse()
        response.read()
        return response.status


def measure(server: Server, size: int, seconds: float) -> bool:
    """Push both layers, print what came of it, and return whether all was as it should be."""
    token, given_at = server.token("alice", f"repository:{REPOSITORY}:pull,push"), time.monotonic()
    blobs = {1: Blob(size), CHUNKS: Blob(size - 1)}
    with ThreadPoolExecutor(len(blobs)) as clients:
        started = [clients.submit(push, server, token, blob, patches, seconds) for patches, blob in blobs.items()]
        pushes = [client.result() for client in started]
    for pushed in pushes:
        seconds_later = pushed.ended_at - given_at
        print(f"{size // MEBIBYTE} MiB, PATCH {pushed.patches} times: 201, {seconds_later:.0f} s after the token")
    uses = other_uses(blobs[1].digest, pushes[0].session)
    statuses = [status_of(server, method, path, token) for method, path in uses]
    for (method, path), status in zip(uses, statuses, strict=True):
        print(f"{status}  {method} {path}")
    outlived = all(pushed.ended_at - given_at > LIFE_SECONDS + LEEWAY_SECONDS for pushed in pushes)
    return outlived and set(statuses) == {HTTPStatus.UNAUTHORIZED}


def main() -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(description="Push a layer for longer than a token lives.")
    parser.add_argument("--size", type=int, default=2048, help="of each layer, in MiB (2048)")
    parser.add_argument("--seconds", type=int, default=140, help="that a push takes at least (140)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="registry-slow-push-") as folder:
        server = ShortLivedServer(Path(folder))
        try:
            server.start()
            is_right = measure(server, options.size * MEBIBYTE, options.seconds)
        finally:
            server.stop()
    print(f"the token counted for {LIFE_SECONDS + LEEWAY_SECONDS} s: {'as it should be' if is_right else 'WRONG'}")
    return 0 if is_right else 1


if __name__ == "__main__":
    sys.exit(main())
